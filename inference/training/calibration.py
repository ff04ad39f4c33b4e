"""Calibration: how sharply slice answers may be pooled, fitted on series that were not learned from."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inference.errors import CannotJudge
from inference.phases import PHASES, Calibration, Phase, SliceAnswers, aggregate

TEMPERATURES = (0.7, 0.85, 1.0, 1.2, 1.5, 1.9, 2.4, 3.0)
LOOKS = (0.8, 1.1, 1.5, 2.0, 2.7, 3.5)
WORST = 1e-3
"""Least probability that is charged for a series that was declined or answered with certainty and wrong."""


def calibrate(
    series: Sequence[tuple[SliceAnswers, Phase]], start: Calibration | None = None, seconds: Sequence[float | None] = ()
) -> Calibration:
    """The temperature and number of looks with the least log loss over (slice answers, true phase).

    `seconds`, one for each series where known, sets how wide the interval of the time since injection is.
    """
    start = start or Calibration()
    candidates = [replace(start, temperature=t, most_looks=n) for t, n in itertools.product(TEMPERATURES, LOOKS)]
    best = min(candidates, key=lambda candidate: log_loss(series, candidate))
    return replace(best, timing_spread=_timing_spread(series, seconds, best)) if seconds else best


def log_loss(series: Sequence[tuple[SliceAnswers, Phase]], calibration: Calibration) -> float:
    """Mean of -ln(probability of the true phase)."""
    return float(np.mean([-np.log(max(_probability(a, truth, calibration), WORST)) for a, truth in series]))


def _probability(answers: SliceAnswers, truth: Phase, calibration: Calibration) -> float:
    try:
        return aggregate(answers, calibration).probabilities[truth]
    except CannotJudge:
        return 1.0 / len(PHASES)


def _timing_spread(
    series: Sequence[tuple[SliceAnswers, Phase]], seconds: Sequence[float | None], calibration: Calibration
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
