"""Phantom patients: anatomy where it belongs, families apart, every confounder behind its own switch."""

from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.phantom.canvas import Grid
from inference.phantom.organs import Organ
from inference.phantom.patient import Patient
from inference.phantom.traits import CHANCES, Confounders

GRID = Grid(size=72, spacing_mm=6.0, centre_mm=(0.0, -40.0))
PLAIN = {f.name: False for f in fields(Confounders)}
HEIGHTS = tuple(np.linspace(0.02, 0.98, 20))


@lru_cache(maxsize=64)
def counts(
    seed: int, *switched: str, family: str = "training", heights: tuple[float, ...] = HEIGHTS
) -> NDArray[np.int64]:
    """Pixels of every organ at some heights of a plain patient with some confounders switched on."""
    patient = Patient.random(seed, family, PLAIN | dict.fromkeys(switched, True))
    total = np.zeros(256, np.int64)
    for position in heights:
        total += np.bincount(patient.labels(float(position), GRID).labels.ravel(), minlength=256)
    return total


def at(seed: int, position: float) -> set[Organ]:
    patient = Patient.random(seed, switches=PLAIN)
    return {Organ(v) for v in np.unique(patient.labels(position, GRID).labels)}


SEEDS = (0, 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("position", "present", "absent"),
    [
        (0.11, {Organ.BONE, Organ.MARROW, Organ.ILIAC_ARTERY, Organ.ILIAC_VEIN}, {Organ.LIVER, Organ.LUNG}),
        (0.45, {Organ.AORTA, Organ.INFRARENAL_VENA_CAVA, Organ.BOWEL_WALL}, {Organ.LUNG, Organ.BLADDER}),
        (0.57, {Organ.AORTA, Organ.INFERIOR_VENA_CAVA, Organ.LIVER}, {Organ.BLADDER, Organ.LEFT_HEART}),
        (0.73, {Organ.LUNG, Organ.LEFT_HEART, Organ.RIGHT_HEART, Organ.AORTA}, {Organ.KIDNEY_CORTEX}),
        (0.82, {Organ.LUNG, Organ.AORTA, Organ.SUPERIOR_VENA_CAVA}, {Organ.LIVER, Organ.STOMACH}),
    ],
)
def test_organs_lie_at_their_height(seed: int, position: float, present: set[Organ], absent: set[Organ]) -> None:
    """A slice shows the organs of its level and not those of another."""
    organs = at(seed, position)
    assert present <= organs
    assert not absent & organs


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("family", ["training", "held-out"])
def test_a_trunk_has_all_its_organs(seed: int, family: str) -> None:
    """No organ that tells the phase is missing from a whole plain patient."""
    total = counts(seed, family=family)
    for organ in (
        Organ.LIVER, Organ.SPLEEN, Organ.PANCREAS, Organ.KIDNEY_CORTEX, Organ.KIDNEY_MEDULLA, Organ.RENAL_PELVIS,
        Organ.URETER, Organ.BLADDER, Organ.PORTAL_VEIN, Organ.HEPATIC_VEIN, Organ.MYOCARDIUM, Organ.PULMONARY_ARTERY,
    ):  # fmt: skip
        assert total[organ] > 0, organ


@pytest.mark.parametrize("seed", SEEDS)
def test_organs_have_plausible_volumes(seed: int) -> None:
    """Liver, spleen and kidneys are as large as organs are."""
    patient = Patient.random(seed, switches=PLAIN)
    slab_mm = (HEIGHTS[1] - HEIGHTS[0]) * patient.trunk_mm
    millilitres = counts(seed) * (GRID.spacing_mm / 2) ** 2 * slab_mm / 1000
    kidneys = millilitres[[Organ.KIDNEY_CORTEX, Organ.KIDNEY_MEDULLA]].sum()
    assert 700 < millilitres[Organ.LIVER] < 3200
    assert 60 < millilitres[Organ.SPLEEN] < 700
    assert 120 < kidneys < 700


GROWS: dict[str, tuple[tuple[float, float], Sequence[Organ]]] = {
    "oral_contrast": ((0.30, 0.60), (Organ.ORAL_CONTRAST,)),
    "plaque": ((0.33, 0.60), (Organ.CALCIFICATION,)),
    "vascular_stent": ((0.26, 0.66), (Organ.STENT,)),
    "hip_prosthesis": ((0.02, 0.14), (Organ.METAL,)),
    "spine_screws": ((0.30, 0.80), (Organ.METAL,)),
    "clips": ((0.10, 0.80), (Organ.METAL,)),
    "pacemaker": ((0.66, 0.98), (Organ.METAL,)),
    "gallstones": ((0.40, 0.50), (Organ.STONE,)),
    "kidney_stones": ((0.38, 0.54), (Organ.STONE,)),
    "ascites": ((0.30, 0.60), (Organ.ASCITES,)),
    "pleural_effusion": ((0.55, 0.80), (Organ.PLEURAL_EFFUSION,)),
    "kidney_cysts": ((0.38, 0.55), (Organ.CYST,)),
    "liver_cysts": ((0.42, 0.66), (Organ.CYST,)),
    "tumours": ((0.42, 0.66), (Organ.TUMOUR,)),
    "hypervascular_tumours": ((0.42, 0.66), (Organ.HYPERVASCULAR_TUMOUR,)),
    "distended_gas": ((0.30, 0.60), (Organ.GAS,)),
    "arms_down": ((0.30, 0.70), (Organ.SKIN,)),
    "hydronephrosis": ((0.20, 0.52), (Organ.RENAL_PELVIS, Organ.URETER)),
}
"""Switch -> (positions between which it is looked for, what there must be more of)."""


@pytest.mark.parametrize("switch", sorted(GROWS))
def test_each_confounder_appears_when_switched_on(switch: str) -> None:
    """Over two patients, switching a confounder on adds what it stands for."""
    between, wanted = GROWS[switch]
    heights, organs = tuple(np.linspace(*between, 8)), list(wanted)
    without = sum(int(counts(seed, heights=heights)[organs].sum()) for seed in SEEDS)
    with_it = sum(int(counts(seed, switch, heights=heights)[organs].sum()) for seed in SEEDS)
    assert with_it > without
    if not {Organ.GAS, Organ.SKIN, Organ.RENAL_PELVIS} & set(organs):
        assert without == 0


def test_one_kidney_is_half_of_two() -> None:
    """The switch removes one kidney with its ureter."""
    kidneys = [Organ.KIDNEY_CORTEX, Organ.KIDNEY_MEDULLA]
    for seed in SEEDS:
        share = counts(seed, "one_kidney")[kidneys].sum() / counts(seed)[kidneys].sum()
        assert 0.3 < share < 0.7


def test_every_confounder_is_tested_and_has_a_chance() -> None:
    """Neither the tests nor the chances forget a switch."""
    names = {f.name for f in fields(Confounders)}
    assert names == set(GROWS) | {"one_kidney"}
    assert names == set(CHANCES)
    assert all(0 < chance < 1 for chance in CHANCES.values())


def test_a_patient_is_a_function_of_the_seed() -> None:
    """The same seed gives the same slice, another seed another one."""
    a, b, c = (Patient.random(seed).labels(0.5, GRID).labels for seed in (5, 5, 6))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_families_differ() -> None:
    """The same seed gives different bodies in the two families."""
    a, b = (Patient.random(5, family).labels(0.5, GRID).labels for family in ("training", "held-out"))
    assert not np.array_equal(a, b)


def test_an_unknown_family_or_switch_is_refused() -> None:
    """A typing error does not give a default patient."""
    with pytest.raises(ValueError, match="family"):
        Patient.random(0, "trainng")
    with pytest.raises(TypeError):
        Patient.random(0, switches={"oral": True})


def test_a_finer_grid_shows_the_same_patient() -> None:
    """Shapes are exact: labels at twice the resolution agree with the coarse ones nearly everywhere."""
    patient = Patient.random(3, switches=PLAIN)
    thin = Grid(64, 6.0, (0.0, -40.0), thickness_mm=0.0), Grid(128, 3.0, (0.0, -40.0), thickness_mm=0.0)
    coarse, fine = (patient.labels(0.55, grid).labels for grid in thin)
    votes = np.stack([fine[i::2, j::2] for i in (0, 1) for j in (0, 1)])
    assert ((votes == coarse).any(axis=0)).mean() > 0.97
