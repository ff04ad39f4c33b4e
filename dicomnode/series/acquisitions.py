"""One series into its acquisitions: what was scanned in one sweep stays together, what was not is never averaged.

A series may hold two phases over the same range; it may as well give each slice, or each turn of the tube, its own
Acquisition Number. Numbers alone decide nothing, therefore: a series is cut where slices get in each other's
way (the same place twice, or two stacks through the same range), along whatever attribute tells them apart; and
where two long, neighbouring stacks with numbers of their own were scanned at clearly different times.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Any

from dicomnode.series import attributes as read
from dicomnode.series.slices import Slice

SAME_PLACE_MM = 0.05
"""Slices closer than this show the same place; the thinnest CT spacing is 0.1 mm and more."""
PAUSE_SECONDS = 20.0
"""A longer pause between two stacks is another moment of the contrast; turns of the tube follow within seconds."""
SHARED_RANGE = 0.5
"""Two stacks that share more than this part of the shorter one's range were scanned one after the other."""

Stack = list[Slice]
Key = Callable[[Slice], Hashable]
Ordering = Callable[[Slice], float | None]


def by_geometry(slices: Sequence[Slice]) -> list[Stack]:
    """Slices that can lie in one stack: the same size, spacing and orientation. The largest group comes first."""
    groups: list[Stack] = []
    for candidate in slices:
        group = next((group for group in groups if _stackable(group[0], candidate)), None)
        if group is None:
            groups.append([candidate])
        else:
            group.append(candidate)
    return sorted(groups, key=len, reverse=True)


def _stackable(a: Slice, b: Slice) -> bool:
    same_grid = (a.layout.rows, a.layout.columns) == (b.layout.rows, b.layout.columns)
    same_spacing = all(abs(x - y) <= 0.01 * x for x, y in zip(a.spacing_mm, b.spacing_mm, strict=True))
    return same_grid and same_spacing and a.plane.angle_degrees(b.plane) < 1.0


def split(slices: Sequence[Slice], min_slices: int) -> list[Stack]:
    """The acquisitions among slices of one geometry, in order of time, each from the feet to the head.

    Within one acquisition no two slices lie in the same place, unless nothing tells them apart (see `thinned`).
    """
    return sorted((_stacked(stack) for stack in _split(list(slices), min_slices)), key=_moment)


def thinned(stack: Stack) -> tuple[Stack, int]:
    """(the stack with one slice for each place, how many were left out): the lowest instance number stays."""
    kept: Stack = []
    for candidate in _stacked(stack):
        if not kept or candidate.plane.position_mm - kept[-1].plane.position_mm > SAME_PLACE_MM:
            kept.append(candidate)
    return kept, len(stack) - len(kept)


def _split(stack: Stack, min_slices: int) -> list[Stack]:
    for parts in (_apart(stack), _interleaved(stack, min_slices), _neighbours(stack, min_slices)):
        if parts is not None:
            return [piece for part in parts for piece in _split(part, min_slices)]
    return [stack]


def _apart(stack: Stack) -> list[Stack] | None:
    """Two and more slices in one place, told apart by the first attribute that can."""
    clashes = _clashes(stack)
    if not clashes:
        return None
    depth = _most_in_one_place(stack)
    for divide in (*map(_grouping, EXACT), *map(_running, ORDERED), _peeled):
        parts = divide(stack)
        if 1 < len(parts) <= depth + 1 and _untangles(parts, clashes):
            return parts
    return None


def _untangles(parts: list[Stack], clashes: int) -> bool:
    """Whether (nearly) no slices clash any more, or the greater part is free of the rest.

    The rest may be the slices that watch the bolus arrive: many pictures of one place.
    """
    longest = max(parts, key=len)
    free = _clashes(longest) == 0 and 2 * len(longest) > sum(map(len, parts))
    return free or sum(map(_clashes, parts)) <= 0.1 * clashes


def _interleaved(stack: Stack, min_slices: int) -> list[Stack] | None:
    """Stacks with numbers or times of their own through the same range, though no two slices fall on one place."""
    for divide in (*map(_grouping, (temporal_position, acquisition_number)), _by_pauses):
        parts = divide(stack)
        long = len(parts) > 1 and min(map(len, parts)) >= min_slices
        if long and all(_shared(a, b) > SHARED_RANGE for a, b in pairwise(sorted(parts, key=_moment))):
            return parts
    return None


def _neighbours(stack: Stack, min_slices: int) -> list[Stack] | None:
    """Chest and abdomen one above the other with numbers of their own, scanned at clearly different times."""
    parts = _grouping(acquisition_number)(stack)
    if not 1 < len(parts) <= 4 or min(map(len, parts)) < min_slices:
        return None
    times = sorted(min(known) for part in parts if (known := [t for s in part if (t := acquired_at(s)) is not None]))
    if len(times) < len(parts) or max(b - a for a, b in pairwise(times)) <= PAUSE_SECONDS:
        return None
    return parts


def temporal_position(one: Slice) -> int | None:
    return one.moment.temporal_position


def acquisition_number(one: Slice) -> int | None:
    return one.moment.acquisition_number


def acquired_at(one: Slice) -> float | None:
    return one.moment.acquired_at


def _made_at(one: Slice) -> float | None:
    return one.moment.made_at


def _instance_number(one: Slice) -> int | None:
    return one.moment.instance_number


def _attribute(keyword: str) -> Key:
    return lambda one: read.text(one.header, keyword)


EXACT: tuple[Key, ...] = (
    temporal_position,
    acquisition_number,
    *map(_attribute, ("AcquisitionUID", "StackID", "ConvolutionKernel", "ImageType", "KVP", "SliceThickness")),
    acquired_at,
    *map(_attribute, ("FilterType", "ReconstructionDiameter", "SeriesDescription", "FrameOfReferenceUID")),
)
"""Attributes whose equal values make one acquisition, most telling first."""
ORDERED: tuple[Ordering, ...] = (acquired_at, acquisition_number, _made_at, _instance_number)
"""Attributes along which one acquisition follows the other, where each slice has a value of its own."""


def _grouping(key: Key) -> Callable[[Stack], list[Stack]]:
    def divide(stack: Stack) -> list[Stack]:
        groups: dict[Hashable, Stack] = defaultdict(list)
        for one in stack:
            groups[key(one)].append(one)
        return list(groups.values())

    return divide


def _running(key: Ordering) -> Callable[[Stack], list[Stack]]:
    """Cuts a series in the order of `key` wherever it comes to a place for the second time.

    Divides nothing where slices in one place have no key, or the same one: that order would be arbitrary.
    """

    def divide(stack: Stack) -> list[Stack]:
        places = _places(stack)
        if len({(places[one.slice_id], key(one) or 0.0) for one in stack if key(one) is not None}) < len(stack):
            return []
        parts: list[Stack] = []
        seen: set[int] = set()
        for one in sorted(stack, key=lambda one: (key(one) or 0.0, places[one.slice_id])):
            place = places[one.slice_id]
            if not parts or place in seen:
                parts.append([])
                seen = set()
            parts[-1].append(one)
            seen.add(place)
        return parts

    return divide


def _peeled(stack: Stack) -> list[Stack]:
    """When nothing tells them apart: the first slice of each place, then the second of each, and so on."""
    parts: list[Stack] = []
    count: dict[int, int] = defaultdict(int)
    places = _places(stack)
    for one in _stacked(stack):
        place = places[one.slice_id]
        if count[place] == len(parts):
            parts.append([])
        parts[count[place]].append(one)
        count[place] += 1
    return parts


def _by_pauses(stack: Stack) -> list[Stack]:
    """Slices in order of acquisition, cut at each pause."""
    timed = [(acquired_at(one), one) for one in stack]
    if any(time is None for time, _ in timed):
        return []
    parts: list[Stack] = []
    last = float("-inf")
    for time, one in sorted(timed, key=lambda entry: (entry[0] or 0.0, entry[1].slice_id)):
        if (time or 0.0) - last > PAUSE_SECONDS:
            parts.append([])
        parts[-1].append(one)
        last = time or 0.0
    return parts


def _places(stack: Stack) -> dict[str, int]:
    """Slice id -> number of its place, from the feet; slices closer than SAME_PLACE_MM share one."""
    places: dict[str, int] = {}
    number, last = 0, None
    for one in _stacked(stack):
        if last is not None and one.plane.position_mm - last > SAME_PLACE_MM:
            number += 1
        last = one.plane.position_mm
        places[one.slice_id] = number
    return places


def _clashes(stack: Stack) -> int:
    """How many slices lie where another one lies."""
    return len(stack) - len(set(_places(stack).values()))


def _most_in_one_place(stack: Stack) -> int:
    return max(Counter(_places(stack).values()).values())


def _shared(a: Stack, b: Stack) -> float:
    """The part of the shorter stack's range that both cover."""
    (a0, a1), (b0, b1) = _range(a), _range(b)
    return (min(a1, b1) - max(a0, b0)) / max(min(a1 - a0, b1 - b0), SAME_PLACE_MM)


def _range(stack: Stack) -> tuple[float, float]:
    positions = [one.plane.position_mm for one in stack]
    return min(positions), max(positions)


def _stacked(stack: Stack) -> Stack:
    """From the feet to the head."""
    return sorted(stack, key=lambda one: (one.plane.position_mm, _instance_number(one) or 0, one.slice_id))


def _moment(stack: Stack) -> tuple[Any, ...]:
    """Orders acquisitions: by temporal position, time, number, then by place; the same on every run."""
    keys: tuple[Ordering, ...] = (temporal_position, acquired_at, acquisition_number, _instance_number)
    values = [[v for one in stack if (v := key(one)) is not None] for key in keys]
    return (*(min(found, default=float("-inf")) for found in values), _range(stack)[0], min(s.slice_id for s in stack))
