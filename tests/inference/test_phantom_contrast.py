"""The contrast model: textbook values, order in time, linearity, and the names of the phases."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.phantom.circulation import TIMES, Circulation, concentrations
from inference.phantom.contrast import (
    DELAYED_SECONDS,
    EarlierBolus,
    Physiology,
    attenuation_table,
    enhancement,
    phase_at,
    random_seconds,
)
from inference.phantom.organs import ENGLISH, PHASE_BEARING, Organ
from inference.phases import Phase

TYPICAL = Physiology.typical()
PHYSIOLOGIES = [Physiology.random(np.random.default_rng(seed)) for seed in range(12)]


def hu(organ: Organ, seconds: float | None) -> float:
    return enhancement(organ, seconds, TYPICAL)


@pytest.mark.parametrize(
    ("organ", "seconds", "low", "high"),
    [
        (Organ.AORTA, None, 30, 50),
        (Organ.LIVER, None, 45, 66),
        (Organ.SPLEEN, None, 40, 55),
        (Organ.KIDNEY_CORTEX, None, 25, 40),
        (Organ.AORTA, 30.0, 200, 400),
        (Organ.KIDNEY_CORTEX, 32.0, 120, 220),
        (Organ.LIVER, 28.0, 45, 80),
        (Organ.AORTA, 70.0, 140, 190),
        (Organ.PORTAL_VEIN, 70.0, 150, 190),
        (Organ.LIVER, 70.0, 95, 125),
        (Organ.KIDNEY_MEDULLA, 105.0, 140, 220),
        (Organ.AORTA, 200.0, 80, 130),
        (Organ.LIVER, 240.0, 70, 105),
        (Organ.RENAL_PELVIS, 240.0, 300, 1600),
    ],
)
def test_a_typical_patient_has_the_values_of_the_textbook(
    organ: Organ, seconds: float | None, low: float, high: float
) -> None:
    """At typical times the typical patient's organs lie within the published ranges."""
    assert low <= hu(organ, seconds) <= high


def test_cortex_is_brighter_than_medulla_first_and_equal_later() -> None:
    """The corticomedullary phase turns into the nephrographic one."""
    assert hu(Organ.KIDNEY_CORTEX, 32) - hu(Organ.KIDNEY_MEDULLA, 32) > 60
    assert abs(hu(Organ.KIDNEY_CORTEX, 105) - hu(Organ.KIDNEY_MEDULLA, 105)) < 40


@pytest.mark.parametrize("physiology", PHYSIOLOGIES)
def test_contrast_reaches_organs_in_the_order_of_the_circulation(physiology: Physiology) -> None:
    """Half of the peak is reached in the right heart, then lungs' arteries, aorta, portal vein, hepatic vein."""

    def arrival(organ: Organ) -> float:
        curve = physiology.iodine[organ]
        return float(TIMES[np.argmax(curve > 0.5 * curve.max())])

    way = (Organ.RIGHT_HEART, Organ.PULMONARY_ARTERY, Organ.AORTA, Organ.PORTAL_VEIN)
    times = [arrival(organ) for organ in way]
    assert times == sorted(times)
    if physiology.reflux == 0:
        assert arrival(Organ.HEPATIC_VEIN) >= arrival(Organ.PORTAL_VEIN)


@pytest.mark.parametrize("physiology", PHYSIOLOGIES)
def test_the_aorta_washes_out(physiology: Physiology) -> None:
    """From 100 s on the aorta only falls."""
    values = [enhancement(Organ.AORTA, float(t), physiology) for t in range(100, 900, 20)]
    assert all(b < a for a, b in pairwise(values))


@pytest.mark.parametrize("physiology", PHYSIOLOGIES)
def test_the_bladder_only_fills(physiology: Physiology) -> None:
    """Urine with contrast comes into the bladder and stays."""
    values = [enhancement(Organ.BLADDER, float(t), physiology) for t in range(0, 900, 20)]
    assert all(b >= a for a, b in pairwise(values))
    assert values[-1] > values[0]


@pytest.mark.parametrize("physiology", PHYSIOLOGIES)
def test_the_renal_pelvis_is_empty_in_arterial_and_portal_venous_phase(physiology: Physiology) -> None:
    """No contrast in the collecting system before 100 s."""
    native = physiology.native[Organ.RENAL_PELVIS]
    assert all(enhancement(Organ.RENAL_PELVIS, float(t), physiology) - native < 1 for t in (20, 40, 60, 80, 100))


@pytest.mark.parametrize("physiology", PHYSIOLOGIES)
def test_phases_are_apart_in_truth(physiology: Physiology) -> None:
    """Drawn acquisitions differ in what defines them: aorta over liver first, both bright, then washed out."""
    rng = np.random.default_rng(1)

    def contrast(phase: Phase) -> tuple[float, float]:
        t = random_seconds(phase, physiology, rng)
        native = physiology.native
        return tuple(enhancement(o, t, physiology) - native[o] for o in (Organ.AORTA, Organ.LIVER))  # type: ignore[return-value]

    assert contrast(Phase.UNENHANCED) == (0.0, 0.0)
    aorta, liver = contrast(Phase.PORTAL_VENOUS)
    assert aorta > 40
    assert liver > 15
    late = contrast(Phase.DELAYED)
    assert late[0] < aorta


def test_low_voltage_makes_iodine_brighter() -> None:
    """80 kVp gives 1.6 times the enhancement of 120 kVp, and the same unenhanced values."""
    low = Physiology.typical(80)
    gain = [(enhancement(Organ.AORTA, 35, p) - enhancement(Organ.AORTA, None, p)) for p in (low, TYPICAL)]
    assert gain[0] == pytest.approx(1.6 * gain[1])
    assert enhancement(Organ.LIVER, None, low) == enhancement(Organ.LIVER, None, TYPICAL)


def test_an_earlier_bolus_fills_the_renal_pelvis_of_a_portal_venous_scan() -> None:
    """A split bolus shows both: bright vessels and contrast in the collecting system."""
    plain, _ = attenuation_table(70.0, TYPICAL)
    split, _ = attenuation_table(70.0, TYPICAL, EarlierBolus(300.0, 0.5))
    assert split[Organ.RENAL_PELVIS] > plain[Organ.RENAL_PELVIS] + 100
    assert split[Organ.AORTA] > plain[Organ.AORTA]


def test_no_iodine_is_lost_or_made() -> None:
    """Without kidneys, what was injected stays in the blood and the tissues."""
    quiet = Circulation(filtration=0.0)
    late = {o: float(c[-1]) for o, c in concentrations(quiet).items()}
    # In equilibrium all vessels hold the same concentration, and it is not zero.
    assert late[Organ.AORTA] == pytest.approx(late[Organ.ILIAC_VEIN], rel=0.06)
    assert late[Organ.AORTA] > 0.8
    with_kidneys = {o: float(c[-1]) for o, c in concentrations(Circulation()).items()}
    assert with_kidneys[Organ.AORTA] < late[Organ.AORTA]


@given(st.floats(0, 2000))
def test_every_time_has_one_name_or_none(seconds: float) -> None:
    """Names follow each other in time, with gaps between them that have no name."""
    order = [Phase.ARTERIAL, Phase.PORTAL_VENOUS, Phase.DELAYED]
    phase = phase_at(seconds)
    if phase is None:
        assert seconds < 15 or 45 < seconds < 55 or 110 < seconds < DELAYED_SECONDS[0]
    else:
        later = phase_at(seconds + 200)
        assert later is not None
        assert order.index(later) >= order.index(phase)


def test_no_contrast_is_unenhanced() -> None:
    """No time since an injection means that there was none."""
    assert phase_at(None) is Phase.UNENHANCED


@given(st.integers(0, 10_000), st.sampled_from(list(Phase)))
def test_drawn_times_belong_to_their_phase(seed: int, phase: Phase) -> None:
    """A time drawn for a phase is one that `phase_at` gives that phase's name."""
    assert phase_at(random_seconds(phase, PHYSIOLOGIES[seed % 12], np.random.default_rng(seed))) is phase


def test_every_organ_has_a_name_of_its_own() -> None:
    """English names are unique, and the ones that others rely on are there."""
    assert len(set(ENGLISH.values())) == len(Organ)
    assert {"aorta", "inferior vena cava", "renal cortex", "liver", "urinary bladder"} <= set(ENGLISH.values())
    assert Organ.BONE not in PHASE_BEARING
