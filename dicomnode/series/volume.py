"""A series' files -> the volumes in it, each acquisition by itself, or the reason why one cannot be judged.

The answer is a function of the files' contents and their order. Reasons and notes are sentences for the person
at the scanner.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from dicomnode.series import header_opinion
from dicomnode.series.acquisitions import Stack, by_geometry, split, thinned
from dicomnode.series.part10 import read_file_meta
from dicomnode.series.pixels import stored_values
from dicomnode.series.slices import LeftOut, Slice, read_slices
from inference.findings import HeaderOpinion
from inference.volume import Hounsfield, Volume

Progress = Callable[[int, int], None]
"""progress(files read, files in all)."""
MOST_TRIED = 8
"""Files that are opened in search of one header."""
LONGEST_REASON = 3
"""Notes that follow the reason itself; all of them are in `notes`."""


@dataclass(frozen=True)
class Limits:
    """The least that an acquisition must have to be judged."""

    min_slices: int = 8
    min_coverage_mm: float = 30.0


@dataclass(frozen=True)
class Part:
    """One acquisition that can be judged."""

    label: str
    """"" when the series has one part, otherwise "acquisition 2"."""
    index: int
    """From 1, in the order in which the acquisitions were scanned."""
    volume: Volume
    headers: tuple[Dataset, ...]
    """Header of each slice, without pixel data, in the volume's order."""
    frames: tuple[int | None, ...]
    """Frame number of each slice, from 1; None for single-frame objects."""
    header_opinion: HeaderOpinion
    notes: tuple[str, ...] = ()
    """What was left out or assumed, as sentences."""


@dataclass(frozen=True)
class Unjudgeable:
    """One acquisition, or a whole series, that is declined."""

    label: str
    index: int
    headers: tuple[Dataset, ...]
    reason: str
    """One or two sentences for a radiographer."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Gathered:
    """All that was read from the files of one series."""

    slices: list[Slice]
    left_out: list[LeftOut]
    notes: list[str]


def load(
    paths: Sequence[Path], progress: Progress | None = None, limits: Limits | None = None
) -> list[Part | Unjudgeable]:
    """The acquisitions of one series, in the order of time. Never empty, and raises nothing but OSError.

    Of two instances with one SOP Instance UID and different contents, the one that comes last in `paths` is taken.
    """
    limits = limits or Limits()
    gathered = _gather(paths, progress)
    if not gathered.slices:
        headers = tuple(entry.header for entry in gathered.left_out if entry.header is not None)
        return [Unjudgeable("", 1, headers, _nothing_left(gathered.left_out))]
    stacks, odd = _stacks(gathered.slices, limits.min_slices)
    notes = (*gathered.notes, *_left_out_notes(gathered.left_out), *odd)
    many = len(stacks) > 1
    parts = []
    for index, stack in enumerate(stacks, start=1):
        parts.append(_part(f"acquisition {index}" if many else "", index, stack, notes, limits))
    return parts


def unread(paths: Iterable[Path], reason: str) -> Unjudgeable:
    """A whole series that is declined without being read, with the first header that can be, or none.

    No pixels are decoded, and no more than `MOST_TRIED` files opened; those that are gone are passed over. Raises
    OSError.
    """
    return Unjudgeable("", 1, tuple(islice(_headers(islice(paths, MOST_TRIED)), 1)), reason)


def _headers(paths: Iterable[Path]) -> Iterator[Dataset]:
    for path in paths:
        with suppress(FileNotFoundError):
            entry = next(read_slices(path), None)
            if entry is not None and entry.header is not None:
                yield entry.header


def _gather(paths: Sequence[Path], progress: Progress | None) -> _Gathered:
    by_uid: dict[str, tuple[Path, list[Slice | LeftOut]]] = {}
    changed: set[str] = set()
    for number, path in enumerate(paths, start=1):
        found = list(read_slices(path))
        uid = (found[0].sop_instance_uid if found else "") or str(path)
        if uid in by_uid and _digest(path) != _digest(by_uid[uid][0]):
            changed.add(uid)
        if uid not in by_uid or _usable(found) or not _usable(by_uid[uid][1]):
            by_uid[uid] = (path, found)
        if progress is not None:
            progress(number, len(paths))
    entries = [entry for _, found in by_uid.values() for entry in found]
    twice = f"{_count(len(changed), 'instance')} came twice with different contents; the later one is judged."
    return _Gathered(
        slices=[entry for entry in entries if isinstance(entry, Slice)],
        left_out=[entry for entry in entries if isinstance(entry, LeftOut)],
        notes=[twice] if changed else [],
    )


def _usable(found: Sequence[Slice | LeftOut]) -> bool:
    """Whether a slice can be judged: a damaged second copy doesn't take the place of a whole first one."""
    return any(isinstance(entry, Slice) for entry in found)


def _digest(path: Path) -> bytes:
    """SHA-256 of the dataset: who sent it stands before it and makes no difference."""
    content = path.read_bytes()
    return hashlib.sha256(memoryview(content)[read_file_meta(content)[1] :]).digest()


def _stacks(slices: list[Slice], min_slices: int) -> tuple[list[Stack], list[str]]:
    """(acquisitions, notes on odd slices): a few slices that belong to no stack don't spoil a series.

    Where no stack is long enough, the longest stands for the series.
    """
    groups = by_geometry(slices)
    stacks = [stack for group in groups for stack in split(group, min_slices)]
    long = [stack for stack in stacks if len(stack) >= min_slices]
    judged = long or [max(stacks, key=len)]
    odd = len(slices) - sum(map(len, judged))
    return judged, [f"{_count(odd, 'slice')} of another size, orientation or run left out."] if odd else []


def _part(label: str, index: int, stack: Stack, notes: Sequence[str], limits: Limits) -> Part | Unjudgeable:
    stack, doubled = thinned(stack)
    headers = tuple(one.header for one in stack)
    found = list(notes)
    if doubled:
        found.append(f"{_count(doubled, 'slice')} in the place of another one left out.")
    found += sorted({caveat for one in stack for caveat in one.caveats})
    reason = _unjudgeable(stack, limits)
    if reason:
        return Unjudgeable(label, index, headers, " ".join([reason, *notes[:LONGEST_REASON]]), tuple(found))
    found += _gaps(stack)
    opinion = header_opinion.read(headers)
    return Part(label, index, _volume(stack), headers, tuple(one.frame for one in stack), opinion, tuple(found))


def _unjudgeable(stack: Stack, limits: Limits) -> str | None:
    """Why this acquisition cannot be judged; None when it can."""
    plane = stack[0].plane
    if not plane.axial:
        return "The slices are not axial: a sagittal, coronal or oblique reformat."
    if plane.turned:
        return "The slices are turned by a quarter within their plane."
    if len(stack) < limits.min_slices:
        return f"The series has {_count(len(stack), 'slice')}; at least {limits.min_slices} are needed."
    coverage = stack[-1].plane.position_mm - stack[0].plane.position_mm
    if coverage < limits.min_coverage_mm:
        return f"The series covers {coverage:.0f} mm; at least {limits.min_coverage_mm:.0f} mm are needed."
    return None


def _volume(stack: Stack) -> Volume:
    first = stack[0]
    return Volume(
        slice_ids=tuple(one.slice_id for one in stack),
        positions_mm=tuple(one.plane.position_mm for one in stack),
        shape=(first.layout.rows, first.layout.columns),
        pixel_spacing_mm=first.spacing_mm,
        read=_Reader(tuple(replace(one, header=Dataset()) for one in stack)),
        flip_rows=first.plane.flip_rows,
        flip_columns=first.plane.flip_columns,
    )


@dataclass(frozen=True)
class _Reader:
    """read(index) -> hounsfield[row, column]: one slice from its file. Raises Decline when it cannot be decoded."""

    slices: tuple[Slice, ...]

    def __call__(self, index: int) -> Hounsfield:
        one = self.slices[index]
        return one.rescale.hounsfield(stored_values(one.layout, (one.frame or 1) - 1))


def _gaps(stack: Stack) -> list[str]:
    """A note when single slices are missing: a step of twice the usual one or more, where steps are otherwise alike."""
    if len(stack) < 3:
        return []
    steps = np.diff([one.plane.position_mm for one in stack])
    usual = float(np.median(steps))
    gaps = int(np.sum(steps > 1.8 * usual))
    even = float(np.mean(np.abs(steps - usual) < 0.2 * usual)) > 0.8
    if not gaps or not even:
        return []
    missing = int(np.round(steps[steps > 1.8 * usual] / usual - 1).sum())
    return [f"About {_count(missing, 'slice')} seem to be missing, in {_count(gaps, 'gap')}."]


def _left_out_notes(left_out: Sequence[LeftOut]) -> list[str]:
    reasons = Counter(entry.reason for entry in left_out)
    return [f"{_count(count, 'instance')} left out: {reason}." for reason, count in reasons.most_common()]


def _nothing_left(left_out: Sequence[LeftOut]) -> str:
    if not left_out:
        return "The series has no images."
    return " ".join(["The series has no slice that can be judged.", *_left_out_notes(left_out)[:LONGEST_REASON]])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
