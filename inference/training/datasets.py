"""Training slices on disk: shards of small hounsfield arrays with their truth, written by some, read by others.

A shard is one uncompressed file, renamed into place, that training maps into memory: generators may run as other
processes and write new shards while training goes on.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.phases import PHASES, Phase
from inference.preprocessing import Grid, clean, place, resample
from inference.volume import Hounsfield

MARGIN = 1.2
"""Shards hold a field this much wider than the network's, so that shifts bring in body and not air."""
NO_PHASE = -1
LEAST_SHARE = 1e-6
"""Less is what rounding leaves."""
EARLY_MIX_SECONDS = (42.0, 56.0)
"""Where arterial turns into portal venous."""
LATE_MIX_SECONDS = (100.0, 185.0)
"""Where portal venous turns into delayed."""
RECORD_FIELDS = (("phase", "i1"), ("scope", "i1"), ("seconds", "f4"))


@dataclass(frozen=True)
class Sample:
    """One slice and what is true of it."""

    hounsfield: Hounsfield
    """[row, column], anterior-first, right-first."""
    pixel_spacing_mm: tuple[float, float]
    phase: Phase | None
    """None: not known; then only the scope is learned from it."""
    seconds: float | None
    """Since injection; None when not known or not injected."""
    in_scope: bool
    """True for slices of an abdomen or thorax."""


@dataclass(frozen=True)
class Batch:
    """Slices that are learned from together."""

    hounsfield: NDArray[np.int16]
    """[slice, row, column], on the grid of `stored_grid`."""
    phase: NDArray[np.int8]
    """[slice]: index into PHASES or NO_PHASE."""
    scope: NDArray[np.int8]
    """[slice]: 1 for abdomen or thorax, else 0."""
    seconds: NDArray[np.float32]
    """[slice]: since injection, NaN when not known."""


def stored_grid(grid: Grid) -> Grid:
    """The grid of the shards for a network's grid: the same pixels, a wider field."""
    return Grid(round(grid.size * MARGIN), grid.pixel_mm, grid.windows)


def pack(samples: Iterable[Sample], grid: Grid) -> Batch:
    """Samples on the shards' grid."""
    wide, images, records = stored_grid(grid), [], []
    for sample in samples:
        cleaned = clean(sample.hounsfield)
        images.append(np.rint(resample(cleaned, place(cleaned, sample.pixel_spacing_mm), wide)).astype(np.int16))
        phase = NO_PHASE if sample.phase is None else PHASES.index(sample.phase)
        records.append((phase, int(sample.in_scope), np.nan if sample.seconds is None else sample.seconds))
    truth = np.array(records, dtype=list(RECORD_FIELDS))
    return Batch(np.stack(images), truth["phase"], truth["scope"], truth["seconds"])


def phase_share(phase: int, seconds: float | None) -> NDArray[np.float32]:
    """[phase]: 1 for a phase that is named; a mixture of the neighbours for a time between two; else zeros.

    A time in the portal venous window that bears no name is that of an injection with an earlier one still being
    excreted: half portal venous, half delayed.
    """
    share = np.zeros(len(PHASES), np.float32)
    if phase != NO_PHASE:
        share[phase] = 1.0
    elif seconds is not None and seconds > 0:
        early = seconds <= EARLY_MIX_SECONDS[1]
        low, high = EARLY_MIX_SECONDS if early else LATE_MIX_SECONDS
        first = PHASES.index(Phase.ARTERIAL if early else Phase.PORTAL_VENOUS)
        later = 0.5 if not early and seconds < low else float(np.clip((seconds - low) / (high - low), 0.0, 1.0))
        share[first], share[first + 1] = 1.0 - later, later
    return share


def write_shard(folder: Path, name: str, batch: Batch) -> Path:
    """Write one shard and return its folder; a reader sees it whole or not at all."""
    fresh, final = folder / f".{name}.{os.getpid()}", folder / name
    fresh.mkdir(parents=True, exist_ok=True)
    for field in fields(batch):
        np.save(fresh / f"{field.name}.npy", getattr(batch, field.name))
    os.rename(fresh, final)
    return final


def read_shard(path: Path, kind: type[Batch] = Batch) -> Batch:
    """One shard, of the kind that was written, mapped into memory."""
    return kind(*(np.load(path / f"{field.name}.npy", mmap_mode="r") for field in fields(kind)))


def shares_beside(rest: Path, others: Mapping[Path, float]) -> dict[Path, float]:
    """Folder -> its share of every batch: `rest` has what the others leave; who has none is left out."""
    shares = {rest: 1.0 - sum(others.values()), **others}
    return {folder: share for folder, share in shares.items() if share > LEAST_SHARE}


class ShardPool:
    """All shards of some folders, each folder with its share of every batch; finds new shards when asked to look."""

    def __init__(self, shares: dict[Path, float], seed: int, kind: type[Batch] = Batch) -> None:
        self.shares, self.kind = shares, kind
        self.random = np.random.default_rng(seed)
        self.shards: dict[Path, list[Batch]] = {folder: [] for folder in shares}
        self._seen: set[Path] = set()

    def look(self) -> int:
        """Open what is new; the number of slices there are now."""
        for folder in self.shares:
            for path in sorted(folder.glob("[!.]*")) if folder.is_dir() else []:
                if path not in self._seen:
                    self._seen.add(path)
                    self.shards[folder].append(read_shard(path, self.kind))
        return sum(len(shard.phase) for shards in self.shards.values() for shard in shards)

    def wait(self, least: int = 1, pause_seconds: float = 1.0, patience_seconds: float = 600.0) -> None:
        """Until there are `least` slices. Raises TimeoutError when none come: then the workers have failed."""
        deadline = time.monotonic() + patience_seconds
        while self.look() < least:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no training slices came within {patience_seconds:.0f} s")
            time.sleep(pause_seconds)

    def draw(self, size: int) -> Batch:
        """`size` slices at random, by folder shares; folders without a shard yet are passed over."""
        folders = [folder for folder in self.shares if self.shards[folder]]
        if not folders:
            raise ValueError("there is no training data yet")
        share = np.array([self.shares[folder] for folder in folders])
        chosen = self.random.choice(len(folders), size=size, p=share / share.sum())
        return _joined([self._one(self.shards[folders[i]]) for i in chosen])

    def _one(self, shards: list[Batch]) -> Batch:
        shard = shards[int(self.random.integers(len(shards)))]
        i = int(self.random.integers(len(shard.phase)))
        return type(shard)(*(getattr(shard, field.name)[i : i + 1] for field in fields(shard)))


def _joined(batches: list[Batch]) -> Batch:
    kind = type(batches[0])
    return kind(*(np.concatenate([getattr(batch, field.name) for batch in batches]) for field in fields(kind)))
