"""Calibration: how sharply slice answers may be pooled, fitted on series that were not learned from.

Truth is a distribution here, for a series between two phases belongs to neither: without such series the fit would
learn that every answer is sure. They count BETWEEN_WEIGHT each, for they are rarer than as many series of every phase
would have them. No more than LOOKS[-1] independent looks are tried, however well synthetic series would bear them: the
slices of one real patient err together.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from inference.errors import CannotJudge
from inference.phases import PHASES, Calibration, Phase, SliceAnswers, aggregate

TEMPERATURES = (1.0, 1.2, 1.35, 1.5, 1.7, 1.9, 2.5)
LOOKS = (1.1, 2.0, 3.5, 5.0)
LATE_LOOKS = (0.9, 1.3, 1.6, 2.0, 2.4, 2.8)
LATE_BORDERS = (0.0, 0.1, 0.2, 0.3)
LATE_POWER = 2.0
"""Not fitted: a small lead is all that a series between portal venous and delayed ever has."""
BETWEEN_WEIGHT = 0.05
"""What a series between two phases counts, where there is one for every patient: an assumption about departments."""
Truth = Phase | Mapping[Phase, float]
"""A phase, or its share of each."""
WORST = 1e-3
"""Least probability that is charged for a series that was declined or answered with certainty and wrong."""


def calibrate(
    series: Sequence[tuple[SliceAnswers, Truth]], start: Calibration | None = None, seconds: Sequence[float | None] = ()
) -> Calibration:
    """The temperature and number of looks with the least log loss over (slice answers, true phase).

    `seconds`, one for each series where known, sets how wide the interval of the time since injection is.
    """
    start = replace(start or Calibration(), late_power=LATE_POWER)
    grid = itertools.product(TEMPERATURES, LOOKS, LATE_LOOKS, LATE_BORDERS)
    candidates = [
        replace(start, temperature=t, most_looks=n, late_looks=late, late_border=border) for t, n, late, border in grid
    ]
    best = min(candidates, key=lambda candidate: log_loss(series, candidate))
    return replace(best, timing_spread=_timing_spread(series, seconds, best)) if seconds else best


def log_loss(series: Sequence[tuple[SliceAnswers, Truth]], calibration: Calibration) -> float:
    """Weighted mean cross-entropy of the truth and the answer."""
    losses = [_loss(_probabilities(answers, calibration), truth) for answers, truth in series]
    return float(np.average(losses, weights=[_weight(truth) for _, truth in series]))


def _weight(truth: Truth) -> float:
    return 1.0 if isinstance(truth, Phase) or max(truth.values()) == 1.0 else BETWEEN_WEIGHT


def _loss(probabilities: Mapping[Phase, float], truth: Truth) -> float:
    shares = {truth: 1.0} if isinstance(truth, Phase) else truth
    return -sum(share * float(np.log(max(probabilities[phase], WORST))) for phase, share in shares.items())


def _probabilities(answers: SliceAnswers, calibration: Calibration) -> Mapping[Phase, float]:
    """The series' answer; where it is declined, as if nothing were known."""
    try:
        return aggregate(answers, calibration).probabilities
    except CannotJudge:
        return dict.fromkeys(PHASES, 1.0 / len(PHASES))


def _timing_spread(
    series: Sequence[tuple[SliceAnswers, Truth]], seconds: Sequence[float | None], calibration: Calibration
) -> float:
    """The factor at which the 80 % interval holds 80 % of the true times."""
    ratios = []
    for (answers, _), truth in zip(series, seconds, strict=True):
        told = None if truth is None else _told(answers, calibration)
        if told is not None and truth is not None:
            ratios.append(abs(np.log(truth) - told[0]) / told[1])
    return float(np.clip(np.percentile(ratios, 80) / 1.2816, 0.3, 4.0)) if len(ratios) >= 10 else 1.0


def _told(answers: SliceAnswers, calibration: Calibration) -> tuple[float, float] | None:
    try:
        return aggregate(answers, calibration).log_seconds
    except CannotJudge:
        return None
