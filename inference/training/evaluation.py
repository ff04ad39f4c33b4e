"""How right a model is, and how well it knows it: every figure is by series, its intervals by patient."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import CannotJudge
from inference.findings import Findings
from inference.judge import judge
from inference.models import Bundle, ModelCard
from inference.phases import PHASES, Phase
from inference.volume import Volume

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Row:
    """One series and what was said of it."""

    folder: str
    """The caller's name of the series."""
    patient: str
    """Series of one patient are resampled together; the folder's name where the caller knows no patient."""
    truth: Phase | None
    """None: the label is not known, or the series has no phase; then it counts in no figure."""
    phase: Phase | None
    """None: indeterminate or declined."""
    confidence: float
    """Of the most probable phase; 0 when declined."""
    probabilities: Mapping[Phase, float]
    """Empty when declined."""
    reason: str | None
    declined: bool
    seconds: float | None = None
    """Estimated time since injection."""

    @property
    def best(self) -> Phase | None:
        """The most probable phase, also of an indeterminate answer; None when declined."""
        return max(self.probabilities, key=lambda phase: self.probabilities[phase]) if self.probabilities else None


@dataclass(frozen=True)
class Score:
    """A figure and the interval that holds it in 95 % of the resampled sets of patients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class EvaluationReport:
    """What a model said of a labelled set, and the figures that follow from it."""

    model: ModelCard
    series: tuple[Row, ...]
    confusion: NDArray[np.int64]
    """[truth, answer]: PHASES in order, the last column is indeterminate or declined."""
    f1: Mapping[Phase, Score]
    """Per phase, forced: the most probable phase counts even where the answer was withheld."""
    macro_f1: Score
    accuracy: Score
    """Of the answers that were given."""
    answered: float
    """Share of the labelled series that got an answer."""
    expected_calibration_error: float
    calibration: tuple[tuple[float, float, int], ...]
    """(mean confidence, share right, series) of each filled bin."""
    abstention: tuple[tuple[float, float, float], ...]
    """(least confidence, share answered, share of these right), by rising confidence."""

    def rows(self) -> list[dict[str, Any]]:
        """One plain dictionary a series: folder, phase, confidence, reason, and what else was said."""
        return [
            {
                "folder": row.folder,
                "phase": row.phase.value if row.phase else None,
                "confidence": round(row.confidence, 4),
                "reason": row.reason,
                "truth": row.truth.value if row.truth else None,
                "state": "declined" if row.declined else "judged",
                "probabilities": {phase.value: round(p, 4) for phase, p in row.probabilities.items()},
            }
            for row in self.series
        ]

    def summary(self) -> dict[str, Any]:
        """The figures as plain numbers, as a model card keeps them; None where there was nothing to measure."""
        return {
            "series": sum(row.truth is not None for row in self.series),
            "macro_f1": _rounded(self.macro_f1.value),
            "f1": {phase.value: _rounded(score.value) for phase, score in self.f1.items()},
            "accuracy_of_answers": _rounded(self.accuracy.value),
            "answered": round(self.answered, 4),
            "expected_calibration_error": round(self.expected_calibration_error, 4),
        }

    def to_html(self, title: str = "Evaluation") -> str:
        """One self-contained page with pictures."""
        from inference.training.report import to_html

        return to_html(self, title)


def evaluate(
    bundle: Bundle,
    labelled: Iterable[tuple[str, Volume | str, Phase | None]],
    *,
    patients: Mapping[str, str] | None = None,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> EvaluationReport:
    """Judge (folder, volume, true phase) one after the other; in place of a volume may stand why there is none.

    `patients` gives the patient of each folder where several are of one. `progress` hears each folder when it is done.
    """
    series = []
    for folder, volume, truth in labelled:
        series.append(_row(folder, (patients or {}).get(folder, folder), truth, _said(bundle, volume, device)))
        if progress is not None:
            progress(folder)
    return report_on(bundle.card, series)


def report_on(card: ModelCard, series: Sequence[Row], draws: int = 1000, seed: int = 0) -> EvaluationReport:
    """All figures of series that have been judged; intervals from `draws` resamplings of the patients."""
    known = [row for row in series if row.truth is not None]
    truth = np.array([_number(row.truth) for row in known], dtype=np.int64)
    best = np.array([_number(row.best) for row in known], dtype=np.int64)
    given = np.array([_number(row.phase) for row in known], dtype=np.int64)
    sure = np.array([row.confidence for row in known])
    judged = best < len(PHASES)
    samples = _resamplings([row.patient for row in known], draws, seed)
    return EvaluationReport(
        model=card,
        series=tuple(series),
        confusion=confusion(truth, given),
        f1={phase: _scored(_f1_of(i), truth, best, samples) for i, phase in enumerate(PHASES)},
        macro_f1=_scored(macro_f1, truth, best, samples),
        accuracy=_scored(_accuracy_of_answers, truth, given, samples),
        answered=float((given < len(PHASES)).mean()) if len(given) else 0.0,
        expected_calibration_error=expected_calibration_error(sure[judged], (best == truth)[judged]),
        calibration=calibration_curve(sure[judged], (best == truth)[judged]),
        abstention=abstention_curve(sure[judged], (best == truth)[judged], len(known)),
    )


def confusion(truth: NDArray[np.int64], answer: NDArray[np.int64]) -> NDArray[np.int64]:
    """[truth, answer] counts; the last column counts what got no answer."""
    table = np.zeros((len(PHASES), len(PHASES) + 1), dtype=np.int64)
    np.add.at(table, (truth, answer), 1)
    return table


def f1(truth: NDArray[np.int64], answer: NDArray[np.int64], phase: int) -> float:
    """Harmonic mean of precision and recall of one phase; NaN when it is neither true nor answered anywhere."""
    hits = int(((truth == phase) & (answer == phase)).sum())
    wrong = int((truth == phase).sum() + (answer == phase).sum()) - 2 * hits
    return 2.0 * hits / (2.0 * hits + wrong) if hits + wrong else float("nan")


def macro_f1(truth: NDArray[np.int64], answer: NDArray[np.int64]) -> float:
    """Mean F1 of the phases that are true somewhere."""
    scores = [f1(truth, answer, phase) for phase in range(len(PHASES)) if (truth == phase).any()]
    return float(np.mean(scores)) if scores else float("nan")


def expected_calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Mean distance of confidence and share right over ten equal bins, weighted by their size (Guo 2017)."""
    total = max(len(confidence), 1)
    return sum(abs(mean - share) * count / total for mean, share, count in calibration_curve(confidence, right))


def calibration_curve(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[tuple[float, float, int], ...]:
    """(mean confidence, share right, count) for each of ten equal bins that holds anything."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    chosen = [bins == i for i in range(CALIBRATION_BINS)]
    return tuple((float(confidence[c].mean()), float(right[c].mean()), int(c.sum())) for c in chosen if c.any())


def abstention_curve(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], total: int
) -> tuple[tuple[float, float, float], ...]:
    """(least confidence, share of all that is answered, share of these that is right), for each confidence met."""
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    right_so_far = np.cumsum(right[order]) / answered
    points = zip(confidence[order], answered / max(total, 1), right_so_far, strict=True)
    return tuple((float(c), float(a), float(r)) for c, a, r in points)[::-1]


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def _said(bundle: Bundle, volume: Volume | str, device: str) -> Findings | str:
    """Findings, or the reason why there are none."""
    if isinstance(volume, str):
        return volume
    try:
        return judge(volume, bundle, device=device, maps=())
    except CannotJudge as error:
        return error.reason


def _row(folder: str, patient: str, truth: Phase | None, said: Findings | str) -> Row:
    if isinstance(said, str):
        return Row(folder, patient, truth, None, 0.0, {}, said, declined=True)
    seconds = said.seconds.estimate if said.seconds else None
    return Row(folder, patient, truth, said.phase, said.confidence, said.probabilities, said.reason, False, seconds)


def _number(phase: Phase | None) -> int:
    return len(PHASES) if phase is None else PHASES.index(phase)


_Figure = Callable[[NDArray[np.int64], NDArray[np.int64]], float]


def _f1_of(phase: int) -> _Figure:
    return lambda truth, answer: f1(truth, answer, phase)


def _accuracy_of_answers(truth: NDArray[np.int64], answer: NDArray[np.int64]) -> float:
    given = answer < len(PHASES)
    return float((truth == answer)[given].mean()) if given.any() else float("nan")


def _resamplings(patients: Sequence[str], draws: int, seed: int) -> list[NDArray[np.int64]]:
    """Row indices of `draws` sets of patients, drawn with replacement."""
    random = np.random.default_rng(seed)
    names = sorted(set(patients))
    rows = [np.flatnonzero(np.array(patients) == name) for name in names]
    if not rows:
        return []
    return [np.concatenate([rows[i] for i in random.integers(len(rows), size=len(rows))]) for _ in range(draws)]


def _scored(
    figure: _Figure, truth: NDArray[np.int64], answer: NDArray[np.int64], samples: Sequence[NDArray[np.int64]]
) -> Score:
    drawn = np.array([figure(truth[rows], answer[rows]) for rows in samples])
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) else (float("nan"), float("nan"))
    return Score(figure(truth, answer), float(low), float(high))
