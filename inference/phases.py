"""Phase: the four answers, and how slices become one answer for a series.

Slices are not counted as votes. A slice's weight is how much phase-bearing anatomy the network saw in it: its scope
(is this an abdomen or thorax at all?) times how far its own answer is from knowing nothing (one minus its normalised
entropy). Log probabilities are averaged with these weights and then sharpened by how many millimetres of telling
anatomy there are, so that a lung apex adds nothing and a long series is not counted as hundreds of independent looks.
Where telling slices speak for different phases the pooled answer gives way to their plain shares: two acquisitions
are never averaged into one confident answer.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import CannotJudge

Array = NDArray[np.float64]


class Phase(StrEnum):
    """Contrast-enhancement phase of an abdominal or thoracic CT, in the order of time."""

    UNENHANCED = "unenhanced"
    ARTERIAL = "arterial"
    PORTAL_VENOUS = "portal venous"
    DELAYED = "delayed"


PHASES = tuple(Phase)
NO_TRUNK = "The images show neither an abdomen nor a thorax (for example a head, a limb or a test object)."
NO_CONTENT = "The images hold no tissue that can be judged: they are empty or without any contrast between tissues."
TOO_LITTLE = "Too little anatomy that tells the phase: hardly any heart, large vessels, liver, spleen or kidneys."
Z_80 = 1.2816
"""Half-width of the interval that holds 80 % of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class Calibration:
    """What turns slice answers into a calibrated answer for the series; part of a model card's options."""

    temperature: float = 1.0
    """Slice logits are divided by this (Guo 2017)."""
    floor: float = 0.04
    """Share of every slice's belief spread evenly over all phases, so that no slice alone can rule a phase out."""
    look_mm: float = 15.0
    """Millimetres of telling anatomy at which the sharpening reaches half of `most_looks`."""
    most_looks: float = 3.0
    """How many independent looks even the longest series is worth."""
    late_looks: float = 1.2
    """The same between portal venous and delayed, of `late_lead`: a series between the two is so in all of its slices,
    and their agreeing on it must not make it surer that it is one of them."""
    late_power: float = 1.0
    """Power to which the lead of one of these two over the other is raised: above 1.0 a small lead, as a series between
    the two has it, counts for less, and a large one for more."""
    late_border: float = 0.0
    """Lead of delayed over portal venous, in mean log probability, at which both are equally probable."""
    certain: float = 0.70
    """Least probability of a phase that is answered."""
    opposed: float = 0.25
    """Share of the telling slices that may speak for another phase before the answer is withheld."""
    least_mm: float = 6.0
    """Least telling anatomy, in mm, for an answer."""
    noisy_hu: float = 45.0
    """Noise on the network's grid above which noise is given as the reason of an uncertain answer."""
    timing_spread: float = 1.0
    """Factor on the network's own standard deviation of ln(seconds)."""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "Calibration":
        """The calibration of a model card; what it does not name keeps its default."""
        given = options.get("calibration", {})
        return cls(**{f.name: float(given[f.name]) for f in fields(cls) if f.name in given})

    def as_options(self) -> dict[str, float]:
        """What a model card keeps of it."""
        return asdict(self)


@dataclass(frozen=True)
class SliceAnswers:
    """What the network said of each slice of one acquisition, in the order of the volume."""

    logits: Array
    """[slice, phase], in the order of Phase."""
    log_seconds: Array
    """[slice, 2]: mean and log of the standard deviation of ln(seconds since injection)."""
    scope: Array
    """[slice]: probability that the slice is one of an abdomen or thorax, 0..1."""
    spacing_mm: float
    """Distance between neighbouring slices; 0 for a single one."""
    noise_hu: float = 0.0
    """Median noise of the slices on the network's grid."""


@dataclass(frozen=True)
class SeriesAnswer:
    """One answer for one acquisition."""

    phase: Phase | None
    """None: indeterminate."""
    probabilities: Mapping[Phase, float]
    """Sums to 1."""
    reason: str | None
    """Why indeterminate; None when there is an answer."""
    log_seconds: tuple[float, float] | None
    """Mean and standard deviation of ln(seconds); None when unenhanced is most probable or the slices disagree."""
    slice_probabilities: Array
    """[slice, phase]."""
    weights: Array
    """[slice]: how much phase-bearing anatomy was seen in it, 0..1."""

    @property
    def confidence(self) -> float:
        """Probability of the most probable phase."""
        return max(self.probabilities.values())


def aggregate(answers: SliceAnswers, calibration: Calibration | None = None) -> SeriesAnswer:
    """Slices -> one answer. Raises CannotJudge when they are not slices of an abdomen or thorax."""
    calibration = calibration or Calibration()
    require_trunk(answers)
    slices = slice_probabilities(answers, calibration)
    weights = slice_weights(slices, answers.scope)
    telling_mm = float(weights.sum()) * slice_mm(answers)
    shares = _shares(slices, weights)
    pooled = _pooled(slices, weights, telling_mm, calibration)
    opposed = 1.0 - float(shares.max()) if weights.sum() > 0 else 0.0
    mixing = min(1.0, opposed / calibration.opposed)
    probabilities = (1.0 - mixing) * pooled + mixing * shares
    reason = _reason(probabilities, shares, telling_mm, answers, calibration)
    best = PHASES[int(np.argmax(probabilities))]
    told = best is not Phase.UNENHANCED and opposed < calibration.opposed
    return SeriesAnswer(
        phase=best if reason is None else None,
        probabilities={phase: float(p) for phase, p in zip(PHASES, probabilities, strict=True)},
        reason=reason,
        log_seconds=_pooled_seconds(answers, weights, calibration) if told else None,
        slice_probabilities=slices,
        weights=weights,
    )


def slice_probabilities(answers: SliceAnswers, calibration: Calibration) -> Array:
    """[slice, phase]: softmax at the calibrated temperature, with the floor mixed in."""
    softmax = _softmax(answers.logits / calibration.temperature)
    return np.asarray((1.0 - calibration.floor) * softmax + calibration.floor / len(PHASES))


def slice_weights(probabilities: Array, scope: Array) -> Array:
    """[slice]: scope times (1 - entropy / largest entropy), 0..1."""
    entropy = -(probabilities * np.log(probabilities)).sum(axis=1) / np.log(len(PHASES))
    return np.asarray(scope * np.clip(1.0 - entropy, 0.0, 1.0))


def slice_mm(answers: SliceAnswers) -> float:
    """Millimetres of body that one slice stands for: a single slice counts as 5, and none as more than 10."""
    return min(answers.spacing_mm, 10.0) if answers.spacing_mm > 0 else 5.0


def require_trunk(answers: SliceAnswers) -> None:
    """Raises CannotJudge unless a third of the slices, or 120 mm on end, show abdomen or thorax."""
    inside = answers.scope > 0.5
    longest = max((len(run) for run in "".join("1" if i else " " for i in inside).split()), default=0)
    if inside.mean() < 1 / 3 and longest * slice_mm(answers) < 120.0:
        raise CannotJudge(NO_TRUNK)


def _shares(slices: Array, weights: Array) -> Array:
    """[phase]: the share of the telling slices that speak for each phase; even when none tells anything.

    A slice speaks as loudly as its first choice is ahead of its second: one that wavers contradicts nobody.
    """
    ordered = np.sort(slices, axis=1)
    loud = weights * (ordered[:, -1] - ordered[:, -2])
    if loud.sum() <= 0:
        return np.full(len(PHASES), 1.0 / len(PHASES))
    votes = np.eye(len(PHASES))[slices.argmax(axis=1)]
    return np.asarray((votes * loud[:, None]).sum(axis=0) / loud.sum())


def _pooled(slices: Array, weights: Array, telling_mm: float, calibration: Calibration) -> Array:
    """[phase]: softmax of the weighted mean log probability, sharpened by the number of independent looks."""
    if weights.sum() <= 0:
        return np.full(len(PHASES), 1.0 / len(PHASES))
    mean_log = (np.log(slices) * weights[:, None]).sum(axis=0) / weights.sum()
    reached = telling_mm / (telling_mm + calibration.look_mm)
    pooled = _softmax(calibration.most_looks * reached * mean_log)
    late = [PHASES.index(Phase.PORTAL_VENOUS), PHASES.index(Phase.DELAYED)]
    lead = late_lead(mean_log, calibration)
    pooled[late] = pooled[late].sum() * _softmax(np.array([0.0, calibration.late_looks * reached * lead]))
    return pooled


def late_lead(mean_log: Array, calibration: Calibration) -> float:
    """How far delayed is ahead of portal venous in mean_log[phase], bent by `late_power`; negative: behind."""
    lead = mean_log[PHASES.index(Phase.DELAYED)] - mean_log[PHASES.index(Phase.PORTAL_VENOUS)] - calibration.late_border
    return float(np.sign(lead) * np.abs(lead) ** calibration.late_power)


def _softmax(logits: Array) -> Array:
    exponent = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=-1, keepdims=True))


def _pooled_seconds(answers: SliceAnswers, weights: Array, calibration: Calibration) -> tuple[float, float]:
    """Mean and standard deviation of ln(seconds): slices of one series err together, so their spread is not divided."""
    variance = np.exp(2.0 * np.clip(answers.log_seconds[:, 1], -3.0, 2.0))
    share = weights / variance / (weights / variance).sum()
    mean = float((share * answers.log_seconds[:, 0]).sum())
    between = float((share * (answers.log_seconds[:, 0] - mean) ** 2).sum())
    within = float((share * variance).sum()) * calibration.timing_spread**2
    return mean, float(np.sqrt(within + between))


def _reason(
    probabilities: Array, shares: Array, telling_mm: float, answers: SliceAnswers, calibration: Calibration
) -> str | None:
    """Why there is no answer, or None: thin coverage before disagreement before noise before closeness."""
    first, second = (PHASES[i] for i in np.argsort(-probabilities, kind="stable")[:2])
    if telling_mm < calibration.least_mm:
        return TOO_LITTLE
    if 1.0 - shares.max() >= calibration.opposed:
        order = np.argsort(-shares, kind="stable")
        said = " and ".join(f"{100 * shares[i]:.0f} % for {PHASES[i].value}" for i in order[:2])
        return f"The slices disagree: {said}. This may be two acquisitions in one series, or a time between two phases."
    if probabilities.max() >= calibration.certain:
        return None
    if answers.noise_hu > calibration.noisy_hu:
        return f"The images are too noisy for a safe answer (about {answers.noise_hu:.0f} HU after smoothing)."
    return f"The enhancement lies between {first.value} and {second.value}."
