"""The generators: functions of their seeds, balanced, and true to their labels."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from inference.phantom.contrast import attenuation_table, enhancement
from inference.phantom.generate import random_outliers, random_pairs, random_slices, random_study
from inference.phantom.organs import PHASE_BEARING, Organ
from inference.phantom.patient import Patient
from inference.phantom.scanner import Scan, picture
from inference.phantom.slices import PhantomSlice, final_labels
from inference.phases import Phase

SAMPLE = random_slices(7, 96, 64)


def equal(a: PhantomSlice, b: PhantomSlice) -> bool:
    return np.array_equal(a.hounsfield, b.hounsfield) and np.array_equal(a.labels, b.labels) and a.seconds == b.seconds


def test_slices_are_a_function_of_the_seed() -> None:
    """The same arguments give the same slices; another seed or setting gives others."""
    first = random_slices(3, 4, 64)
    assert all(equal(a, b) for a, b in zip(first, random_slices(3, 4, 64), strict=True))
    assert not equal(first[0], random_slices(4, 1, 64)[0])
    assert not equal(first[0], random_slices(3, 1, 64, "held-out")[0])


def test_fewer_slices_are_the_beginning_of_more() -> None:
    """Asking for more does not change what comes first."""
    assert all(equal(a, b) for a, b in zip(random_slices(3, 3, 64), random_slices(3, 6, 64), strict=False))


def test_slices_have_the_promised_form() -> None:
    """float32 HU and uint8 labels of the asked size, whole HU in the range of CT, a position within the trunk."""
    for s in SAMPLE:
        assert s.hounsfield.shape == s.labels.shape == (64, 64)
        assert s.hounsfield.dtype == np.float32
        assert s.labels.dtype == np.uint8
        assert s.hounsfield.min() >= -3024
        assert s.hounsfield.max() <= 3071
        assert 0 <= s.position <= 1
        assert (s.phase is Phase.UNENHANCED) <= (s.seconds is None)


def test_phases_are_balanced() -> None:
    """Every phase has about a quarter; a few slices have no single name."""
    found = Counter(s.phase for s in SAMPLE)
    for phase in Phase:
        assert 14 <= found[phase] <= 34
    assert sum(n for phase, n in found.items() if phase is None) < 20


@pytest.mark.parametrize("seconds", [None, 30.0, 70.0, 250.0])
def test_painted_organs_have_the_attenuation_of_the_contrast_model(seconds: float | None) -> None:
    """The mean HU of an organ's inside, in the picture, is the model's value within a few HU."""
    scan = Scan(noise_hu=6.0, thickness_mm=1.0, table="none", field_of_view_mm=400.0)
    checked = 0
    for seed in range(6):
        patient = Patient.random(seed, switches={"hip_prosthesis": False, "spine_screws": False, "clips": False})
        anatomy = patient.labels(0.5, scan.grid(200))
        image = picture(anatomy, attenuation_table(seconds, patient.physiology), scan, np.random.default_rng(seed))
        labels = final_labels(anatomy)
        for organ in (Organ.LIVER, Organ.AORTA, Organ.KIDNEY_CORTEX, Organ.BODY):
            core = ndimage.binary_erosion(labels == organ, iterations=3)
            if core.sum() > 25:
                checked += 1
                assert abs(image[core].mean() - enhancement(organ, seconds, patient.physiology)) < 8
    assert checked > 6


def test_a_study_shows_one_patient_at_several_times() -> None:
    """Volumes of a study share their labels; bones stay, the aorta follows the contrast."""
    plain, arterial, delayed = random_study(5, [None, 32.0, 240.0], slices=5, size=96)
    assert [v.phase for v in (plain, arterial, delayed)] == [Phase.UNENHANCED, Phase.ARTERIAL, Phase.DELAYED]
    assert np.array_equal(plain.labels, arterial.labels)
    aorta = plain.labels == Organ.AORTA
    values = [np.stack([v.volume.slice(i) for i in range(5)])[aorta].mean() for v in (plain, delayed, arterial)]
    assert values[0] < values[1] < values[2]


@pytest.mark.parametrize("region", ["pelvis", "abdomen", "thorax", "trunk"])
def test_a_study_covers_its_region(region: str) -> None:
    """Each region shows its own organ, as a valid volume from the feet to the head."""
    (made,) = random_study(1, [70.0], slices=6, size=64, region=region)
    own = {"pelvis": Organ.ILIAC_ARTERY, "abdomen": Organ.LIVER, "thorax": Organ.LUNG, "trunk": Organ.BONE}[region]
    assert len(made.volume) == 6
    assert made.volume.slice_spacing_mm > 0
    assert (made.labels == own).any()


def test_an_unknown_region_is_refused() -> None:
    """A region that does not exist raises."""
    with pytest.raises(KeyError):
        random_study(1, [None], slices=2, size=32, region="head")


def test_outliers_have_no_phase() -> None:
    """Outliers of many kinds, none of them a trunk with a phase."""
    made = random_outliers(0, 60, 48)
    assert all(s.phase is None and s.kind != "trunk" for s in made)
    assert {"head", "leg", "water", "noise", "localizer", "screen"} <= {s.kind for s in made}
    assert all(s.hounsfield.shape == (48, 48) and np.isfinite(s.hounsfield).all() for s in made)


def test_most_trunk_slices_show_what_tells_the_phase() -> None:
    """Phase-bearing organs are in nearly every slice, as the labels say."""
    bearing = np.array([int(o) for o in PHASE_BEARING])
    assert np.mean([np.isin(s.labels, bearing).any() for s in SAMPLE]) > 0.9


def test_obesity_and_lean_bodies_occur() -> None:
    """The subcutaneous layer ranges from thin to very thick."""
    fat = [Patient.random(i).traits.subcutaneous_mm for i in range(80)]
    assert min(fat) < 8
    assert max(fat) > 45


def test_fatty_livers_occur() -> None:
    """Some livers are darker than the spleen without contrast."""
    native = [Patient.random(i).physiology.native for i in range(60)]
    assert any(n[Organ.LIVER] < n[Organ.SPLEEN] - 10 for n in native)


def test_noise_differs_between_acquisitions_of_a_study() -> None:
    """Two unenhanced acquisitions of one patient are not the same picture."""
    a, b = random_study(2, [None, None], slices=1, size=64)
    assert not np.array_equal(a.volume.slice(0), b.volume.slice(0))


def test_a_scan_can_be_taken_at_another_dose() -> None:
    """`noisier` changes noise and nothing else."""
    scan = Scan(noise_hu=10.0, streaks_hu=4.0)
    assert scan.noisier(2.0) == replace(scan, noise_hu=20.0, streaks_hu=8.0)


def test_a_pair_is_one_anatomy_at_two_times() -> None:
    """The same organs in the same places, another phase or time, and other noise; the seed makes them."""
    pairs = list(random_pairs(5, 6, 96))
    assert len(pairs) == 6
    for one, other in pairs:
        assert np.array_equal(one.labels, other.labels)
        assert one.seconds != other.seconds
        assert not np.array_equal(one.hounsfield, other.hounsfield)
    again = next(iter(random_pairs(5, 1, 96)))
    assert np.array_equal(again[0].hounsfield, pairs[0][0].hounsfield)
