"""The organs' vote: textbook values give their phase, missing organs are left out, nonsense has no vote."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.findings import OrganMeasurement
from inference.organ_vote import TABLE, from_json, load, to_json, vote
from inference.organ_words import evidence, spoken
from inference.phantom.contrast import Physiology, enhancement
from inference.phantom.organs import ENGLISH
from inference.phases import PHASES, Phase
from inference.training.organ_vote import ORGANS, fit

TEXTBOOK = {
    Phase.UNENHANCED: {"aorta": 40, "inferior vena cava": 40, "portal vein": 40, "liver": 55, "spleen": 47,
                       "renal cortex": 32, "renal medulla": 32, "renal pelvis": 5},
    Phase.ARTERIAL: {"aorta": 310, "inferior vena cava": 90, "portal vein": 80, "liver": 62, "spleen": 140,
                     "renal cortex": 170, "renal medulla": 70, "renal pelvis": 8},
    Phase.PORTAL_VENOUS: {"aorta": 165, "inferior vena cava": 150, "portal vein": 170, "liver": 110, "spleen": 125,
                          "renal cortex": 180, "renal medulla": 160, "renal pelvis": 12},
    Phase.DELAYED: {"aorta": 100, "inferior vena cava": 95, "portal vein": 98, "liver": 82, "spleen": 85,
                    "renal cortex": 115, "renal medulla": 120, "renal pelvis": 700},
}  # fmt: skip
"""Phase -> median HU as textbooks have them."""


def organs(hounsfield: dict[str, float]) -> tuple[OrganMeasurement, ...]:
    return tuple(OrganMeasurement(organ, float(hu), hu, 10.0, 50.0, 0) for organ, hu in hounsfield.items())


@pytest.mark.parametrize("phase", PHASES)
def test_textbook_values_speak_for_their_phase(phase: Phase) -> None:
    """All organs, with more than nine tenths."""
    said = vote(organs(TEXTBOOK[phase]))
    assert said is not None
    assert (said.phase, said.confidence > 0.9) == (phase, True)
    assert sum(said.probabilities.values()) == pytest.approx(1.0)
    assert set(said.telling) == set(TEXTBOOK[phase])


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(
    "missing",
    [{"renal cortex", "renal medulla", "renal pelvis"}, {"portal vein", "renal pelvis"}, {"aorta", "spleen"}],
    ids=["no kidneys", "no portal vein", "no aorta"],
)
def test_missing_organs_do_not_turn_the_vote(phase: Phase, missing: set[str]) -> None:
    """The textbook's phase stays the likeliest, or the vote is unsure: never sure of another."""
    said = vote(organs({organ: hu for organ, hu in TEXTBOOK[phase].items() if organ not in missing}))
    assert said is not None
    assert said.phase is phase or said.confidence < 0.7


def test_fewer_organs_make_no_surer_vote_than_all() -> None:
    """The portal vein and the liver alone know less than everything together."""
    known = TEXTBOOK[Phase.PORTAL_VENOUS]
    few, all_of_them = vote(organs({k: known[k] for k in ("portal vein", "liver")})), vote(organs(known))
    assert few is not None
    assert all_of_them is not None
    assert few.confidence < all_of_them.confidence


@pytest.mark.parametrize("hounsfield", [{}, {"aorta": 150.0}, {"urinary bladder": 10.0, "thyroid": 100.0}])
def test_too_few_organs_have_no_vote(hounsfield: dict[str, float]) -> None:
    """None, one, and two of which the model knows nothing."""
    assert vote(organs(hounsfield)) is None


def test_what_looks_like_no_patient_has_no_vote() -> None:
    """An aorta of bone and a liver of contrast medium."""
    assert vote(organs({"aorta": 2500.0, "liver": 2900.0, "spleen": -900.0})) is None


@given(
    st.dictionaries(
        st.sampled_from([ENGLISH[organ] for organ in ORGANS]), st.floats(-1024, 3071), min_size=2, max_size=8
    )
)
@settings(max_examples=80, deadline=None)
def test_any_hu_have_a_vote_or_none(hounsfield: dict[str, float]) -> None:
    """Probabilities are finite and sum to one, whatever was measured."""
    said = vote(organs(hounsfield))
    if said is not None:
        assert all(math.isfinite(p) and 0 <= p <= 1 for p in said.probabilities.values())
        assert sum(said.probabilities.values()) == pytest.approx(1.0)


def test_leaving_an_organ_out_is_marginalising() -> None:
    """The density without an organ is that with it, integrated over all its values."""
    model = load()
    stretch, known = model.stretches[6], (0, 3)
    values = stretch.mean + 0.3
    whole, _ = model._fit(stretch, known[:1], values[:1])
    steps = np.linspace(stretch.mean[3] - 8, stretch.mean[3] + 8, 4001)
    logs = [model._fit(stretch, known, np.array([values[0], step]))[0] for step in steps]
    assert np.trapezoid(np.exp(logs), steps) == pytest.approx(math.exp(whole), rel=1e-3)


def test_synthetic_patients_are_told_by_their_organs() -> None:
    """Patients whom the fit has not seen, at the middle of each phase: nine of ten right, and no sure error."""
    rng = np.random.default_rng(4711)
    right, sure_and_wrong, count = 0, 0, 0
    for _ in range(40):
        patient = Physiology.random(rng)
        for phase, seconds in zip(PHASES, (None, 32.0, 75.0, 240.0), strict=True):
            said = vote(organs({ENGLISH[o]: enhancement(o, seconds, patient) for o in ORGANS}))
            count += said is not None
            right += said is not None and said.phase is phase
            sure_and_wrong += said is not None and said.phase is not phase and said.confidence > 0.95
    assert right > 0.9 * count
    assert sure_and_wrong == 0


def test_the_table_is_what_its_script_makes() -> None:
    """The same seed and a tenth of the patients: means agree within the spread of so few."""
    kept = json.loads(TABLE.read_text(encoding="utf-8"))
    assert kept["made_by"] == "inference.training.organ_vote --patients 1500 --seed 7"
    fresh = fit(150, 7)
    assert list(fresh.organs) == kept["organs"]
    for stretch, row in zip(fresh.stretches, kept["stretches"], strict=True):
        spread = np.sqrt(np.diag(np.array(row["covariance"])))
        assert np.abs(stretch.mean - np.array(row["mean"])).max() < 0.5 * spread.max()


def test_the_table_is_read_as_it_was_written() -> None:
    """Written again, it is the same text but for the facts beside it."""
    model = load()
    again = from_json(to_json(model))
    assert to_json(again) == to_json(model)
    assert again.probabilities(TEXTBOOK[Phase.ARTERIAL]) == model.probabilities(TEXTBOOK[Phase.ARTERIAL])


def test_the_evidence_is_said_as_a_radiologist_would() -> None:
    """Kidneys by comparing cortex and medulla, the pelvis by whether it holds contrast."""
    late = organs(TEXTBOOK[Phase.DELAYED])
    said = vote(late)
    assert said is not None
    assert "contrast in the renal pelvis (700 HU)" in evidence(said, late)
    early = organs({k: TEXTBOOK[Phase.ARTERIAL][k] for k in ("renal cortex", "renal medulla")})
    said = vote(early)
    assert said is not None
    assert evidence(said, early) == "renal cortex brighter than medulla (170 against 70 HU)"
    alike = organs({k: TEXTBOOK[Phase.PORTAL_VENOUS][k] for k in ("aorta", "renal cortex", "renal medulla")})
    said = vote(alike)
    assert said is not None
    assert "renal cortex like medulla (170 HU)" in evidence(said, alike)
    assert "Nierenrinde wie Nierenmark (170 HU)" in spoken(said, alike, "de")


def test_one_kidney_is_as_good_as_two() -> None:
    """The vote reads HU, not volumes."""
    both = organs(TEXTBOOK[Phase.PORTAL_VENOUS])
    one = tuple(OrganMeasurement(o.organ, o.median_hu, o.mean_hu, 10.0, o.volume_ml / 2, 0) for o in both)
    assert vote(one) == vote(both)
