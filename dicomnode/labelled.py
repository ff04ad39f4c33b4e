"""Labelled folders: a table of folders and phases, and the volumes in them. For `train` and `evaluate`."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dicomnode.errors import ConfigurationError
from dicomnode.offline import FolderSeries, series_in
from dicomnode.series.volume import Limits, Part, Unjudgeable, load
from inference.phases import Phase

SYNONYMS: Mapping[str, Phase] = {
    **{phase.value: phase for phase in Phase},
    "non-contrast": Phase.UNENHANCED,
    "noncontrast": Phase.UNENHANCED,
    "non contrast": Phase.UNENHANCED,
    "native": Phase.UNENHANCED,
    "plain": Phase.UNENHANCED,
    "none": Phase.UNENHANCED,
    "late arterial": Phase.ARTERIAL,
    "early arterial": Phase.ARTERIAL,
    "venous": Phase.PORTAL_VENOUS,
    "portal": Phase.PORTAL_VENOUS,
    "portal-venous": Phase.PORTAL_VENOUS,
    "excretory": Phase.DELAYED,
    "late": Phase.DELAYED,
}
"""How a phase may be written in a table of labels; upper and lower case, "_" and " " are alike."""


@dataclass(frozen=True)
class Label:
    """One row of the table."""

    folder: str
    """As written, relative to the root."""
    phase: Phase | None
    """None: the row says that the series has no phase (a head, several phases), or says nothing."""
    patient: str
    """The column "patient", or else the folder."""


def read_labels(file: Path) -> list[Label]:
    """Columns folder, phase and, optionally, patient. Raises ConfigurationError that names file and line."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            rows = list(csv.DictReader(text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{file}: cannot be read ({error})") from None
    if not rows or not {"folder", "phase"} <= set(rows[0]):
        raise ConfigurationError(f"{file}: a table with the columns folder,phase is needed")
    return [
        Label(row["folder"], phase_named(row["phase"]), row.get("patient") or row["folder"])
        for row in rows
        if row["folder"]
    ]


def phase_named(text: str | None) -> Phase | None:
    """The phase that a label names; None for a name that is none of the four."""
    return SYNONYMS.get((text or "").strip().lower().replace("_", " "))


def part_in(folder: Path, limits: Limits) -> Part | str:
    """The acquisition that a labelled folder stands for, the one with most slices; or why there is none."""
    if not folder.is_dir():
        return "There is no such folder."
    parts = [part for series in series_in(folder) for part in _parts(series, limits)]
    judgeable = [part for part in parts if isinstance(part, Part)]
    if judgeable:
        return max(judgeable, key=lambda part: len(part.volume))
    return next((part.reason for part in parts if isinstance(part, Unjudgeable)), "The folder has no CT images.")


def _parts(series: FolderSeries, limits: Limits) -> list[Part | Unjudgeable]:
    if not series.paths:
        return [Unjudgeable("", 1, (), series.set_aside)]
    return load(series.paths, limits=limits)


def labelled_parts(root: Path, labels: list[Label], limits: Limits) -> Iterator[tuple[Label, Part | str]]:
    """Each row of the table with its acquisition, read when it is asked for."""
    for label in labels:
        yield label, part_in(root / label.folder, limits)
