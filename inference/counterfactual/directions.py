"""Directions: along which latents does the model's answer change? Ridge logistic regression on whitened latents.

For each class against all others, and for each two neighbours in time against each other. What is learned from are
the model's own probabilities of the images, not any truth. One step along a direction is one standard deviation of the
known latents: a unit vector b in whitened space is the step spread @ b in the latent space.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

Array = NDArray[np.float64]
RIDGES = (100.0, 300.0, 1000.0)
"""Tried penalties, in units of one sample. All are strong, and what is found lies near the difference of the classes'
means: a weak penalty tells the classes apart a little better, by axes along which few images differ, and a standard
deviation along them moves the image less."""
CHECKED = 0.2
"""Share of the samples that chooses among them."""
_ROUNDS = 30


@dataclass(frozen=True)
class Direction:
    """One direction of unit length in whitened latents."""

    name: str
    """A class, or "class > class": from the first to the second."""
    unit: Array
    """[latent]."""
    auc: float
    """How well the position along it ranks held-out samples by the model's answer: 0.5 not at all, 1 perfectly."""
    ridge: float
    """The penalty that was chosen."""


def names_of(classes: Sequence[str]) -> tuple[str, ...]:
    """The names of all directions: classes, then neighbouring pairs."""
    return (*classes, *(f"{a} > {b}" for a, b in pairwise(classes)))


def directions(whitened: Array, probabilities: Array, classes: Sequence[str]) -> tuple[Direction, ...]:
    """All directions, in the order of `names_of`, from whitened[sample, latent] and probabilities[sample, class]."""
    found = [_direction(name, whitened, probabilities[:, i], None) for i, name in enumerate(classes)]
    for i, name in enumerate(names_of(classes)[len(classes) :]):
        together = probabilities[:, i] + probabilities[:, i + 1]
        later = probabilities[:, i + 1] / np.maximum(together, 1e-9)
        found.append(_direction(name, whitened, later, together))
    return tuple(found)


def _direction(name: str, whitened: Array, target: Array, weights: Array | None) -> Direction:
    """The best of the penalties by the held-out log loss, fitted anew to all samples."""
    counted = np.ones(len(target)) if weights is None else weights
    checked = np.arange(len(target)) % round(1 / CHECKED) == 0
    learned = ~checked
    losses, scores = [], []
    for ridge in RIDGES:
        slope, offset = ridge_logistic(whitened[learned], target[learned], counted[learned], ridge)
        score = whitened[checked] @ slope + offset
        losses.append(_log_loss(score, target[checked], counted[checked]))
        scores.append(score)
    best = int(np.argmin(losses))
    slope, _ = ridge_logistic(whitened, target, counted, RIDGES[best])
    length = float(np.linalg.norm(slope))
    said = counted[checked] > 0.5
    auc = ranking(scores[best][said], target[checked][said] > 0.5)
    return Direction(name, slope / max(length, 1e-12), auc, RIDGES[best])


def ridge_logistic(features: Array, target: Array, weights: Array, ridge: float) -> tuple[Array, float]:
    """Slope[feature] and offset that minimise the weighted log loss plus ridge / 2 |slope|^2, by Newton's method.

    target[sample] may be any number from 0 to 1.
    """
    wide = np.column_stack([features, np.ones(len(features))])
    penalty = np.append(np.full(features.shape[1], ridge), 1e-6)
    found = np.zeros(wide.shape[1])
    for _ in range(_ROUNDS):
        belief = expit(wide @ found)
        gradient = wide.T @ (weights * (belief - target)) + penalty * found
        curvature = (wide * (weights * belief * (1 - belief))[:, None]).T @ wide + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        found = found - step
        if float(np.abs(step).max()) < 1e-8:
            break
    return found[:-1], float(found[-1])


def ranking(score: Array, positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve of score[sample] (Mann and Whitney); NaN without both kinds."""
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _log_loss(score: Array, target: Array, weights: Array) -> float:
    loss = np.logaddexp(0.0, score) - target * score
    return float((weights * loss).sum() / max(weights.sum(), 1e-12))
