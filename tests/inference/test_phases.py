"""Slices become one answer by evidence; what does not fit together is never averaged into a confident answer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import CannotJudge
from inference.phases import PHASES, Calibration, Phase, SliceAnswers, aggregate


def answers(logits: object, scope: object = 1.0, spacing_mm: float = 5.0, seconds: float = 60.0) -> SliceAnswers:
    values = np.asarray(logits, dtype=np.float64)
    timing = np.tile([np.log(seconds), -1.5], (len(values), 1))
    return SliceAnswers(values, timing, np.broadcast_to(np.asarray(scope, float), len(values)).copy(), spacing_mm)


def saying(phase: Phase, count: int, strength: float = 6.0) -> np.ndarray:
    return np.tile(np.eye(4)[PHASES.index(phase)] * strength, (count, 1))


some_answers = st.integers(3, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.floats(-15, 15), min_size=4, max_size=4), min_size=n, max_size=n),
        st.lists(st.floats(0.6, 1.0), min_size=n, max_size=n),
        st.floats(0.5, 10.0),
    )
)


@given(some_answers)
@settings(deadline=None)
def test_probabilities_sum_to_one(drawn: tuple[list[list[float]], list[float], float]) -> None:
    """Whatever the slices say, the answer is a distribution, and it is either an answer or a reason."""
    answer = aggregate(answers(*drawn))
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)
    assert min(answer.probabilities.values()) >= 0.0
    assert (answer.phase is None) == (answer.reason is not None)


@given(some_answers, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_slices_does_not_matter(
    drawn: tuple[list[list[float]], list[float], float], random: object
) -> None:
    """A reversed or shuffled series has the same answer."""
    given_ = answers(*drawn)
    order = np.random.default_rng(random.randrange(2**32)).permutation(len(given_.scope))  # type: ignore[attr-defined]
    shuffled = replace(given_, logits=given_.logits[order], scope=given_.scope[order])
    assert list(aggregate(shuffled).probabilities.values()) == pytest.approx(
        list(aggregate(given_).probabilities.values())
    )


@given(some_answers, st.integers(1, 30))
@settings(deadline=None)
def test_slices_that_know_nothing_change_nothing(
    drawn: tuple[list[list[float]], list[float], float], extra: int
) -> None:
    """Lung apices (flat answers) added to a series leave its answer as it was."""
    given_ = answers(*drawn)
    flat = answers(np.vstack([given_.logits, np.zeros((extra, 4))]), np.append(given_.scope, np.ones(extra)), drawn[2])
    assert list(aggregate(flat).probabilities.values()) == pytest.approx(list(aggregate(given_).probabilities.values()))


@pytest.mark.parametrize("phase", PHASES)
def test_slices_that_agree_give_their_answer(phase: Phase) -> None:
    """A series that speaks with one voice is answered confidently."""
    answer = aggregate(answers(saying(phase, 30)))
    assert answer.phase is phase
    assert answer.confidence > 0.9


@given(share=st.floats(0.3, 0.7), pair=st.permutations(PHASES), strength=st.floats(4.0, 30.0))
@settings(deadline=None)
def test_two_acquisitions_are_never_averaged(share: float, pair: list[Phase], strength: float) -> None:
    """Two groups of slices that each speak clearly for another phase give no answer, and the reason names both."""
    first = round(60 * share)
    answer = aggregate(answers(np.vstack([saying(pair[0], first, strength), saying(pair[1], 60 - first, strength)])))
    assert answer.phase is None
    assert answer.confidence <= 0.75
    assert answer.reason is not None
    assert pair[0].value in answer.reason
    assert pair[1].value in answer.reason
    assert answer.log_seconds is None


def test_agreeing_on_being_in_between_does_not_make_sure() -> None:
    """Sixty slices that all waver between portal venous and delayed are not sharpened into one of them."""
    wavering = aggregate(answers(np.tile([-6.0, -6.0, 0.0, 0.5], (60, 1))))
    assert wavering.phase is None
    assert "between delayed and portal venous" in (wavering.reason or "")
    early = aggregate(answers(np.tile([0.0, 0.5, -6.0, -6.0], (60, 1))))
    assert early.confidence > wavering.confidence


def test_too_little_anatomy_is_said_to_be_too_little() -> None:
    """Thirty slices that tell nothing give no answer, with coverage as the reason."""
    answer = aggregate(answers(np.zeros((30, 4))))
    assert answer.phase is None
    assert "Too little anatomy" in (answer.reason or "")
    assert answer.confidence == pytest.approx(0.25)


def test_noise_is_given_as_the_reason_where_it_is_one() -> None:
    """An uncertain answer from noisy images blames the noise."""
    unsure = answers(np.tile([0.0, 1.8, 1.6, 0.0], (30, 1)))
    assert "too noisy" in (aggregate(replace(unsure, noise_hu=80.0)).reason or "")
    assert "between arterial and portal venous" in (aggregate(replace(unsure, noise_hu=5.0)).reason or "")


def test_slices_out_of_scope_are_declined() -> None:
    """A head is declined in words, however sure the phase output is."""
    with pytest.raises(CannotJudge, match="neither an abdomen nor a thorax"):
        aggregate(answers(saying(Phase.ARTERIAL, 30), scope=0.05))


def test_a_trunk_within_a_whole_body_scan_is_judged() -> None:
    """Legs and head around 300 mm of trunk do not hinder an answer, and are not counted."""
    scope = np.array([0.0] * 150 + [1.0] * 60 + [0.0] * 40)
    logits = np.vstack([saying(Phase.DELAYED, 150), saying(Phase.ARTERIAL, 60), saying(Phase.DELAYED, 40)])
    assert aggregate(answers(logits, scope)).phase is Phase.ARTERIAL


def test_more_slices_of_the_same_body_do_not_make_it_surer() -> None:
    """Thinner slices of the same anatomy give the same confidence: millimetres count, not slices."""
    thick, thin = answers(saying(Phase.ARTERIAL, 20), 1.0, 5.0), answers(saying(Phase.ARTERIAL, 100), 1.0, 1.0)
    assert aggregate(thin).confidence == pytest.approx(aggregate(thick).confidence)


def test_seconds_are_told_with_their_spread() -> None:
    """Slices that agree on the time give it; slices that do not widen the interval; unenhanced has none."""
    agreed = aggregate(answers(saying(Phase.ARTERIAL, 20), seconds=35.0)).log_seconds
    timing = np.column_stack([np.linspace(np.log(20), np.log(60), 20), np.full(20, -1.5)])
    spread = aggregate(replace(answers(saying(Phase.ARTERIAL, 20)), log_seconds=timing)).log_seconds
    assert agreed is not None
    assert spread is not None
    assert np.exp(agreed[0]) == pytest.approx(35.0)
    assert spread[1] > agreed[1]
    assert aggregate(answers(saying(Phase.UNENHANCED, 20))).log_seconds is None


def test_a_wider_temperature_makes_less_sure() -> None:
    """Calibration works on the slices' logits."""
    given_ = answers(saying(Phase.ARTERIAL, 20, 3.0))
    assert aggregate(given_, Calibration(temperature=3.0)).confidence < aggregate(given_, Calibration()).confidence


def test_calibration_survives_a_card() -> None:
    """What is written to a card is what is read from it, and a card without calibration has the defaults."""
    calibration = Calibration(temperature=1.7, certain=0.6)
    assert Calibration.from_options({"calibration": calibration.as_options()}) == calibration
    assert Calibration.from_options({}) == Calibration()


def test_a_small_lead_between_the_late_phases_counts_for_less() -> None:
    """Bent, what barely leans to delayed is told with less certainty, and what clearly is delayed with more."""
    straight, bent = Calibration(late_looks=1.4), Calibration(late_looks=1.4, late_power=2.0)
    barely, clearly = (answers(np.tile([-3.0, -3.0, 1.0, 1.0 + lead], (30, 1))) for lead in (0.6, 3.0))
    assert 0.5 < aggregate(barely, bent).confidence < aggregate(barely, straight).confidence - 0.02
    assert aggregate(clearly, bent).confidence > aggregate(clearly, straight).confidence + 0.02


def test_at_the_late_border_both_phases_are_equally_probable() -> None:
    """The border is where the lead of delayed, in mean log probability, is as large as it says."""
    calibration = Calibration(late_border=0.25, floor=0.0, late_power=2.0)
    found = aggregate(answers(np.tile([-4.0, -4.0, 1.0, 1.25], (30, 1))), calibration).probabilities
    assert found[Phase.DELAYED] == pytest.approx(found[Phase.PORTAL_VENOUS])
