"""Evaluation: figures that can be recomputed by hand, and a page that stands alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.models import ModelCard
from inference.phases import PHASES, Phase
from inference.training.evaluation import (
    Row,
    abstention_curve,
    calibration_curve,
    confusion,
    expected_calibration_error,
    f1,
    macro_f1,
    report_on,
)

CARD = ModelCard("tiny", "0", "phase", "phase-classifier", "0" * 64, "tests", "all", "synthetic <b>data</b>")


def row(name: str, truth: Phase | None, said: Phase, confidence: float, answered: bool = True) -> Row:
    rest = (1.0 - confidence) / 3
    probabilities = {phase: confidence if phase is said else rest for phase in PHASES}
    reason = None if answered else "The enhancement lies between two phases."
    return Row(name, name[0], truth, said if answered else None, confidence, probabilities, reason, declined=False)


ROWS = [
    row("a1", Phase.ARTERIAL, Phase.ARTERIAL, 0.9),
    row("a2", Phase.DELAYED, Phase.DELAYED, 0.95),
    row("b1", Phase.PORTAL_VENOUS, Phase.DELAYED, 0.6, answered=False),
    row("c1", Phase.UNENHANCED, Phase.UNENHANCED, 0.99),
    row("d1", Phase.PORTAL_VENOUS, Phase.PORTAL_VENOUS, 0.8),
    Row("h", "h", None, None, 0.0, {}, "A head.", declined=True),
]


def test_the_figures_are_those_of_the_hand() -> None:
    """F1, accuracy of the answers, share answered and confusion of six series."""
    report = report_on(CARD, ROWS, draws=50)
    assert report.f1[Phase.PORTAL_VENOUS].value == pytest.approx(2 / 3)
    assert report.f1[Phase.DELAYED].value == pytest.approx(2 / 3)
    assert report.macro_f1.value == pytest.approx((1 + 1 + 2 / 3 + 2 / 3) / 4)
    assert report.accuracy.value == 1.0
    assert report.answered == pytest.approx(0.8)
    assert report.confusion[PHASES.index(Phase.PORTAL_VENOUS)].tolist() == [0, 0, 1, 0, 1]
    assert report.confusion.sum() == 5


def test_intervals_hold_their_value_and_widen_with_few_patients() -> None:
    """The bootstrap draws patients, not series: ten series of one patient have no interval to speak of."""
    report = report_on(CARD, ROWS, draws=200)
    assert report.macro_f1.low <= report.macro_f1.value <= report.macro_f1.high
    one = report_on(CARD, [row(f"a{i}", Phase.ARTERIAL, PHASES[1 + i % 2], 0.9) for i in range(10)], draws=50)
    assert one.f1[Phase.ARTERIAL].low == one.f1[Phase.ARTERIAL].high


def test_rows_are_plain() -> None:
    """Each series has folder, phase, confidence and reason in values that JSON knows."""
    rows = report_on(CARD, ROWS, draws=5).rows()
    assert rows[0]["folder"] == "a1"
    assert rows[0]["phase"] == "arterial"
    assert rows[2]["phase"] is None
    assert rows[2]["reason"].startswith("The enhancement")
    assert rows[5]["state"] == "declined"


def test_the_page_stands_alone() -> None:
    """The report has its picture inside, refers to nothing outside, escapes what it is told and says its limits."""
    page = report_on(CARD, ROWS, draws=5).to_html("Report <1>")
    assert "data:image/png;base64," in page
    assert "http" not in page
    assert "<b>data" not in page
    assert "Report &lt;1&gt;" in page
    assert "Not for diagnostic use" in page


def test_an_empty_set_has_a_report() -> None:
    """Nothing labelled: figures that are not known, not a crash."""
    report = report_on(CARD, [ROWS[5]])
    assert np.isnan(report.macro_f1.value)
    assert "<html" in report.to_html()


labels = st.lists(st.integers(0, 3), min_size=1, max_size=60).map(lambda v: np.array(v, dtype=np.int64))


@given(labels)
def test_a_perfect_answer_has_an_f1_of_one(truth: np.ndarray) -> None:
    """Macro F1 counts only the phases that occur."""
    assert macro_f1(truth, truth) == 1.0
    assert confusion(truth, truth).trace() == len(truth)


@given(labels, st.randoms(use_true_random=False))
def test_f1_is_between_precision_and_recall(truth: np.ndarray, random: object) -> None:
    """F1 lies between the precision and the recall that it is made of."""
    answer = np.array([random.randrange(4) for _ in truth])  # type: ignore[attr-defined]
    hits = ((truth == 1) & (answer == 1)).sum()
    if hits:
        precision, recall = hits / (answer == 1).sum(), hits / (truth == 1).sum()
        assert min(precision, recall) - 1e-9 <= f1(truth, answer, 1) <= max(precision, recall) + 1e-9


def test_calibration_error_is_the_gap() -> None:
    """Right in half of the cases at a confidence of 0.9 is an error of 0.4; right in nine of ten is none."""
    sure = np.full(10, 0.9)
    assert expected_calibration_error(sure, np.arange(10) < 5) == pytest.approx(0.4)
    assert expected_calibration_error(sure, np.arange(10) < 9) == pytest.approx(0.0)
    assert calibration_curve(sure, np.arange(10) < 9) == ((pytest.approx(0.9), pytest.approx(0.9), 10),)


def test_abstaining_keeps_the_surest() -> None:
    """Asking for more confidence answers fewer series, the surest ones."""
    curve = abstention_curve(np.array([0.9, 0.6, 0.8]), np.array([True, False, True]), 4)
    assert [point[0] for point in curve] == [0.6, 0.8, 0.9]
    assert [point[1] for point in curve] == [0.75, 0.5, 0.25]
    assert [point[2] for point in curve] == [pytest.approx(2 / 3), 1.0, 1.0]
