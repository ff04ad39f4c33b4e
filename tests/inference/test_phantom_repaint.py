"""Repainting: a labelled volume gets another contrast, and keeps its texture. The volume here is a phantom itself."""

from functools import lru_cache
from itertools import islice

import numpy as np
import pytest

from inference.phantom.contrast import Physiology, enhancement
from inference.phantom.generate import random_study
from inference.phantom.organs import Organ
from inference.phantom.repaint import Labelled, load_labelled, repaint, repainted_stream
from inference.phases import Phase

NAMES = {
    1: "spleen", 2: "kidney_right", 5: "liver", 7: "pancreas", 21: "urinary_bladder", 52: "aorta",
    63: "inferior_vena_cava", 64: "portal_vein_and_splenic_vein", 18: "small_bowel", 27: "vertebrae_L5",
}  # fmt: skip
_TOOL = {
    Organ.SPLEEN: 1, Organ.KIDNEY_CORTEX: 2, Organ.KIDNEY_MEDULLA: 2, Organ.LIVER: 5, Organ.PANCREAS: 7,
    Organ.BLADDER: 21, Organ.AORTA: 52, Organ.INFERIOR_VENA_CAVA: 63, Organ.INFRARENAL_VENA_CAVA: 63,
    Organ.PORTAL_VEIN: 64, Organ.BOWEL: 18, Organ.BONE: 27, Organ.MARROW: 27,
}  # fmt: skip


@lru_cache(maxsize=1)
def labelled() -> Labelled:
    """A phantom's unenhanced abdomen, labelled as a segmentation tool would."""
    (made,) = random_study(11, [None], slices=40, size=96, region="abdomen")
    table = np.zeros(256, np.int64)
    for organ, value in _TOOL.items():
        table[organ] = value
    hounsfield = np.stack([made.volume.slice(i) for i in range(len(made.volume))])
    spacing = (made.volume.slice_spacing_mm, *made.volume.pixel_spacing_mm)
    return load_labelled(hounsfield, table[made.labels], NAMES, spacing)


def test_what_no_tool_labels_is_derived() -> None:
    """Cortex, medulla, renal pelvis, ureters, liver vessels and the lower vena cava come out of plain labels."""
    found = set(np.unique(labelled().organs))
    assert {
        Organ.KIDNEY_CORTEX, Organ.KIDNEY_MEDULLA, Organ.RENAL_PELVIS, Organ.URETER, Organ.HEPATIC_VEIN,
        Organ.INFRARENAL_VENA_CAVA, Organ.FAT, Organ.BODY,
    } <= found  # fmt: skip


@pytest.mark.parametrize("seconds", [None, 30.0, 70.0, 240.0])
def test_repainted_organs_have_the_attenuation_of_the_contrast_model(seconds: float | None) -> None:
    """The median of liver and aorta over repainted slices is the model's value within 12 HU."""
    physiology = Physiology.typical()
    rng = np.random.default_rng(0)
    slices = [s for _ in range(4) for s in repaint(labelled(), seconds, physiology, rng, 6, 96)]
    for organ in (Organ.LIVER, Organ.AORTA):
        values = np.concatenate([s.hounsfield[s.labels == organ] for s in slices if s.hounsfield.max() > 500])
        assert abs(np.median(values) - enhancement(organ, seconds, physiology)) < 12


def test_repainting_is_a_function_of_the_seed() -> None:
    """The same seed gives the same slices."""
    a, b = (list(islice(repainted_stream(labelled(), 4, 64), 3)) for _ in range(2))
    assert all(np.array_equal(x.hounsfield, y.hounsfield) for x, y in zip(a, b, strict=True))


def test_the_stream_balances_phases() -> None:
    """Every phase comes as often as the others."""
    phases = [s.phase for s in islice(repainted_stream(labelled(), 1, 48), 24)]
    assert all(phases.count(phase) == 6 for phase in Phase)


def test_each_repainting_bends_the_volume_anew() -> None:
    """Two calls do not show the same outlines."""
    rng = np.random.default_rng(0)
    a, b = (repaint(labelled(), None, Physiology.typical(), rng, 1, 64)[0].labels for _ in range(2))
    assert not np.array_equal(a, b)


def test_arrays_that_do_not_fit_or_say_nothing_are_refused() -> None:
    """Shapes must agree and at least one label must have a known name."""
    hu = np.zeros((4, 8, 8), np.float32)
    with pytest.raises(ValueError, match="labels"):
        load_labelled(hu, np.zeros((4, 8, 9), np.int64), {1: "liver"}, (3.0, 3.0, 3.0))
    with pytest.raises(ValueError, match="known"):
        load_labelled(hu, np.ones((4, 8, 8), np.int64), {1: "unheard of"}, (3.0, 3.0, 3.0))
