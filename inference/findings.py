"""Findings: what is said of one acquisition, about which slices, by which model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inference.models import ModelCard
from inference.phases import Phase

if TYPE_CHECKING:
    from inference.counterfactual.series import Counterfactual
    from inference.segment import OrganMasks


@dataclass(frozen=True)
class Seconds:
    """Estimated time since the start of the injection, in seconds, with an interval that holds 80 % of the belief."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class MapScore:
    """How far one kind of map can be trusted on this series."""

    deletion_auc: float
    """Area under the phase probability as the hottest pixels are removed first; lower is better, 0..1."""
    insertion_auc: float
    """The same as they are put back first; higher is better, 0..1."""
    randomisation_rho: float | None
    """Spearman correlation with the map of the same network with random weights; near 0 is good. None: not measured."""
    organ_share: float | None
    """Share of the relevance that lies in phase-bearing organs, 0..1. None: no segmentation."""
    poor: bool
    """True when the map fails a test that it must pass to be shown as evidence."""


@dataclass(frozen=True)
class SliceMap:
    """One explanation map of one slice, raw."""

    slice_index: int
    """Index into the volume."""
    method: str
    """"sam", "grad-cam", "saliency", …"""
    layer: str
    target: str
    """What was explained: the phase's value."""
    made: NDArray[np.float32]
    """made[row, column], never negative, no scale of its own; on the pixels of the source unless `on_source` is set."""
    scale: float
    """The value shown as full heat: one for all slices of a series, so that a slice without evidence looks cold."""
    on_source: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = field(default=None, repr=False)
    """Lays a map that was kept small on the pixels of its source; None where it lies there already."""

    @property
    def values(self) -> NDArray[np.float32]:
        """values[row, column] on the pixels of the source; made anew at each look where the map was kept small."""
        return self.made if self.on_source is None else self.on_source(self.made)


@dataclass(frozen=True)
class HeaderOpinion:
    """What the series' header says of contrast: a second opinion that never overrides the picture."""

    contrast: bool | None
    """Whether contrast was given, as far as the header tells; None: it does not."""
    phase: Phase | None
    """The phase the header names; None: none, or several."""
    evidence: tuple[str, ...]
    """Which attributes said so, in words without patient data."""
    body_part: str = ""
    """The body part the header names, as one word in capitals; "" when it names none. Headers lie here often."""


@dataclass(frozen=True)
class OrganMeasurement:
    """Attenuation of one organ or vessel."""

    organ: str
    """A name from inference.phantom.organs, such as "aorta"."""
    median_hu: float
    mean_hu: float
    deviation_hu: float
    volume_ml: float
    slice_index: int
    """The slice that shows most of it."""
    outline: tuple[tuple[float, float], ...] = ()
    """Closed polygon (column, row) on that slice; empty where none was kept."""


@dataclass(frozen=True)
class OrganVote:
    """Which phase the attenuation of the organs speaks for; the phase network has no part in it."""

    probabilities: Mapping[Phase, float]
    """Sums to 1."""
    telling: tuple[str, ...]
    """Names of the organs it rests on, as in `OrganMeasurement.organ`, most telling first."""
    contradicts: bool = False
    """Whether it is sure of another phase than the network is sure of: then there is no answer."""

    @property
    def phase(self) -> Phase:
        """The phase that is most probable by the organs alone."""
        return max(self.probabilities, key=lambda phase: self.probabilities[phase])

    @property
    def confidence(self) -> float:
        """Probability of that phase, 0..1."""
        return max(self.probabilities.values())


@dataclass(frozen=True)
class SliceEvidence:
    """What one slice says, and how much it counts."""

    slice_index: int
    probabilities: Mapping[Phase, float]
    weight: float
    """0..1: how much phase-bearing anatomy the network saw in it."""


@dataclass(frozen=True)
class Findings:
    """The answer for one acquisition. `phase` is None when the evidence does not carry an answer: indeterminate."""

    phase: Phase | None
    confidence: float
    """Calibrated probability of the most probable phase, 0..1."""
    probabilities: Mapping[Phase, float]
    """Calibrated; sums to 1."""
    seconds: Seconds | None
    """Time since injection; None when unenhanced is most probable."""
    reason: str | None
    """Why indeterminate, in words for a person; None when there is an answer."""
    key_slices: tuple[int, ...]
    """Indices of the slices that show the answer best, most telling first."""
    slices: tuple[SliceEvidence, ...]
    maps: tuple[SliceMap, ...]
    map_scores: Mapping[str, MapScore]
    """By method name."""
    model: ModelCard
    header: HeaderOpinion | None = None
    disagreement: str | None = None
    """Set when header and image contradict each other: "header: contrast; image: unenhanced"."""
    organs: tuple[OrganMeasurement, ...] = field(default=())
    """Of the organs that were found; none where the organs were not looked for."""
    organ_vote: OrganVote | None = None
    """None: too few organs, or they were not looked for."""
    organ_masks: "OrganMasks | None" = field(default=None, repr=False)
    """Where the organs are, on the slices that were segmented."""
    organ_map: SliceMap | None = None
    """What the segmentation network saw of the organ that told most; `target` is its name."""
    organ_model: ModelCard | None = None
    """The model that segmented the organs."""
    counterfactual: "Counterfactual | None" = field(default=None, repr=False)
    """What would have to change for the model to answer otherwise; None: not asked for."""
