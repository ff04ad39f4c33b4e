"""Fidelity: how far counterfactuals can be trusted, in figures.

kept          the model gives the reconstruction the answer that it gave the slice
spearman      do steps along the direction raise the logit of its class, one after the other?
flip rate     share of the slices whose answer becomes the target within three standard deviations
organ share   share of |x_lambda - x_0| that lies where contrast is (phantom truth)
distance      Frechet distance of the features of made images from those of real ones
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f}, n = {self.count})"


def bootstrapped(
    values: Array, groups: NDArray[np.int64], of: Callable[[Array], float], rounds: int = 1000, seed: int = 0
) -> Interval:
    """`of`(values[sample]) with the percentile interval of drawing whole groups (patients) with replacement."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn = []
    for _ in range(rounds):
        picked = rng.integers(len(members), size=len(members))
        drawn.append(of(values[np.concatenate([members[i] for i in picked])]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(of(values), float(low), float(high), len(values))


def share_in(change: NDArray[np.float32], organs: NDArray[np.float32]) -> float:
    """Share of change[row, column] >= 0 that lies in organs[row, column], the covered share of each pixel, 0..1."""
    total = float(change.sum())
    return float((change * organs).sum()) / total if total > 0 else float("nan")


def share_of_hottest(values: NDArray[np.float32], organs: NDArray[np.float32]) -> float:
    """The share of organs among the hottest pixels of a map, as many of them as the organs cover: fair to any scale."""
    count = max(1, round(float(organs.sum())))
    hottest = np.argsort(-values.ravel(), kind="stable")[:count]
    return float(organs.ravel()[hottest].mean())


def frechet_distance(one: Array, other: Array) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2) of features[sample, feature] (Heusel 2017, with any features)."""
    means = one.mean(axis=0) - other.mean(axis=0)
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = linalg.sqrtm(first @ second)
    return float(means @ means + np.trace(first + second - 2.0 * np.real(root)))
