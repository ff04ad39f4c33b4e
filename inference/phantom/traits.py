"""Traits: what makes one phantom patient differ from the next, and the switches of all that confounds a phase."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.random import Generator

from inference.phantom.field import Field

FAMILIES = ("training", "held-out")
"""Families of shapes: what a model is trained on, and what it has never seen."""


@dataclass(frozen=True)
class Confounders:
    """What a patient has besides a plain anatomy; each is one switch."""

    oral_contrast: bool = False
    """Dense contrast in stomach and bowel."""
    plaque: bool = False
    """Calcified walls of aorta and iliac arteries."""
    vascular_stent: bool = False
    hip_prosthesis: bool = False
    spine_screws: bool = False
    clips: bool = False
    """Surgical clips, coils and drains."""
    pacemaker: bool = False
    gallstones: bool = False
    kidney_stones: bool = False
    ascites: bool = False
    pleural_effusion: bool = False
    one_kidney: bool = False
    kidney_cysts: bool = False
    liver_cysts: bool = False
    tumours: bool = False
    """Poorly perfused tumours in liver, kidney or pancreas."""
    hypervascular_tumours: bool = False
    distended_gas: bool = False
    """Much gas in stomach and bowel."""
    arms_down: bool = False
    hydronephrosis: bool = False
    """Wide collecting systems and ureters."""

    @classmethod
    def random(cls, rng: Generator) -> "Confounders":
        return cls(**{f.name: bool(rng.random() < CHANCES[f.name]) for f in fields(cls)})


CHANCES: Mapping[str, float] = {
    "oral_contrast": 0.30,
    "plaque": 0.45,
    "vascular_stent": 0.05,
    "hip_prosthesis": 0.07,
    "spine_screws": 0.05,
    "clips": 0.20,
    "pacemaker": 0.06,
    "gallstones": 0.12,
    "kidney_stones": 0.12,
    "ascites": 0.12,
    "pleural_effusion": 0.15,
    "one_kidney": 0.06,
    "kidney_cysts": 0.25,
    "liver_cysts": 0.20,
    "tumours": 0.30,
    "hypervascular_tumours": 0.12,
    "distended_gas": 0.20,
    "arms_down": 0.12,
    "hydronephrosis": 0.08,
}
"""Switch -> how often it is on."""


@dataclass(frozen=True)
class Traits:
    """Size, build and shape of one patient."""

    family: str
    female: bool
    scale: tuple[float, float, float]
    """mm of the patient for each mm of the reference anatomy: x, y, z."""
    subcutaneous_mm: float
    visceral: float
    """0 lean … 1 much fat between the organs."""
    muscle: float
    """Factor on muscles, about 1; small in old patients."""
    squareness: float
    """0 elliptic … 0.9 nearly rectangular cross-section."""
    breath: float
    """mm that diaphragm, liver and spleen stand higher than in the reference."""
    warp_mm: float
    wobble: float
    """Strength of the noise on organ surfaces."""
    warp: tuple[Field, Field]
    coarse: Field
    middle: Field
    fine: Field
    grain: Field
    """Noise of about 120, 40, 14 and 5 mm for surfaces and textures."""
    confounders: Confounders
    seed: int
    """Of everything that is drawn later, organ by organ."""

    @classmethod
    def random(cls, seed: int, family: str = "training", switches: Mapping[str, bool] | None = None) -> "Traits":
        """Raises ValueError for a family that does not exist, TypeError for a switch that does not."""
        if family not in FAMILIES:
            raise ValueError(f"family {family!r}, expected one of {FAMILIES}")
        held_out = family == "held-out"
        rng = np.random.default_rng([seed, 11 + held_out])
        confounders = replace(Confounders.random(rng), **dict(switches or {}))
        size = rng.normal(1.0, 0.06)
        bank = 1 if held_out else 0
        obese = rng.random() < 0.22
        subcutaneous = rng.uniform(28, 70) if obese else np.clip(rng.gamma(3.0, 6.0), 3, 45)
        visceral = rng.beta(2, 2) if held_out else rng.uniform(0, 1)
        return cls(
            family=family,
            female=bool(rng.random() < 0.5),
            scale=(
                float(np.clip(size * rng.normal(1.0, 0.05), 0.84, 1.2)),
                float(np.clip(size * rng.normal(1.0, 0.07), 0.82, 1.25)),
                float(np.clip(size * rng.normal(1.0, 0.05), 0.85, 1.15)),
            ),
            subcutaneous_mm=float(subcutaneous),
            visceral=float(np.clip(visceral + 0.3 * obese, 0, 1.2)),
            muscle=float(rng.uniform(0.75, 1.15)),
            squareness=float(rng.uniform(0.45, 0.92) if held_out else rng.uniform(0.1, 0.8)),
            breath=float(rng.normal(0, 14)),
            warp_mm=float(rng.uniform(2.0, 6.0)),
            wobble=float(rng.uniform(0.04, 0.16)),
            warp=(Field.random(rng, rng.uniform(35, 70), bank), Field.random(rng, rng.uniform(35, 70), bank)),
            coarse=Field.random(rng, 60.0, bank),
            middle=Field.random(rng, 20.0, bank),
            fine=Field.random(rng, 7.0, bank),
            grain=Field.random(rng, 2.5, bank),
            confounders=confounders,
            seed=seed,
        )

    def rng(self, part: str) -> Generator:
        """The random numbers of one part of the body: the same at every call, whatever else was drawn."""
        return np.random.default_rng([self.seed, *part.encode(), 29 + FAMILIES.index(self.family)])
