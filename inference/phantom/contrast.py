"""Contrast: attenuation of each organ as a function of the seconds since the injection started, and the phase's name.

    attenuation(t) = native value + iodine(t) in mg/mL * HU per mg/mL

The iodine curves come from `circulation`; 1 mg/mL gives about 25 HU at 120 kVp and 1.6 times that at 80 kVp
(Bae, Radiology 2010;256:32). Native values are textbook ranges; every physiology draws its own.

Boundaries of the phases (`phase_at`), in seconds after the start of the injection:

    none given    unenhanced
    15 – 45       arterial, from the pulmonary and early systemic arteries to late arterial with portal inflow
    45 – 55       between: no single name, None
    55 – 110      portal venous
    110 – 170     between (nephrographic, no excretion yet or just begun): None
    170 and more  delayed (equilibrium and excretory)
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from inference.phantom.circulation import TIMES, Circulation, Curve, concentrations
from inference.phantom.organs import VESSELS, Organ
from inference.phases import Phase

ARTERIAL_SECONDS = (15.0, 45.0)
PORTAL_VENOUS_SECONDS = (55.0, 110.0)
DELAYED_SECONDS = (170.0, 720.0)

HU_PER_MG_ML = 25.5
"""Enhancement of 1 mg of iodine in 1 mL at 120 kVp."""

TUBE_VOLTAGE_FACTOR = {80: 1.6, 90: 1.42, 100: 1.25, 110: 1.12, 120: 1.0, 130: 0.94, 140: 0.88}
"""kVp -> enhancement relative to 120 kVp."""


class _Native(NamedTuple):
    low: float
    high: float


NATIVE: dict[Organ, _Native] = {
    Organ.BACKGROUND: _Native(-1015, -985),
    Organ.BODY: _Native(45, 65),
    Organ.FAT: _Native(-115, -90),
    Organ.SKIN: _Native(-20, 60),
    Organ.LUNG: _Native(-880, -760),
    Organ.BONE: _Native(400, 900),
    Organ.MARROW: _Native(60, 280),
    Organ.LIVER: _Native(45, 66),
    Organ.SPLEEN: _Native(40, 55),
    Organ.KIDNEY_CORTEX: _Native(25, 40),
    Organ.KIDNEY_MEDULLA: _Native(25, 40),
    Organ.RENAL_PELVIS: _Native(0, 12),
    Organ.URETER: _Native(5, 25),
    Organ.BLADDER: _Native(0, 14),
    Organ.PANCREAS: _Native(30, 50),
    Organ.MYOCARDIUM: _Native(38, 55),
    Organ.GALLBLADDER: _Native(0, 22),
    Organ.STOMACH: _Native(0, 60),
    Organ.BOWEL: _Native(5, 50),
    Organ.BOWEL_WALL: _Native(25, 50),
    Organ.GAS: _Native(-1010, -930),
    Organ.ORAL_CONTRAST: _Native(120, 700),
    Organ.CALCIFICATION: _Native(250, 1100),
    Organ.METAL: _Native(2200, 3000),
    Organ.TABLE: _Native(-300, 300),
    Organ.TUMOUR: _Native(20, 45),
    Organ.CYST: _Native(-2, 16),
    Organ.ASCITES: _Native(2, 22),
    Organ.STONE: _Native(150, 1300),
    Organ.THYROID: _Native(80, 125),
    Organ.ADRENAL: _Native(10, 40),
    Organ.CARTILAGE: _Native(75, 130),
    Organ.SPINAL_CANAL: _Native(15, 40),
    Organ.UTERUS_OR_PROSTATE: _Native(35, 55),
    Organ.BREAST: _Native(-40, 40),
    Organ.STENT: _Native(900, 2000),
    Organ.HYPERVASCULAR_TUMOUR: _Native(25, 48),
    Organ.MEDIASTINUM: _Native(-95, -20),
    Organ.BRAIN: _Native(28, 38),
    Organ.WATER: _Native(-6, 6),
    Organ.PLEURAL_EFFUSION: _Native(2, 25),
    Organ.HEART_FAT: _Native(-110, -80),
}
"""Organ -> range of unenhanced HU; organs that hold blood share one value of their patient (30 to 50)."""

_BORROWED: dict[Organ, tuple[Organ, float, float]] = {
    Organ.TUMOUR: (Organ.BODY, 7.0, 0.0),
    Organ.ADRENAL: (Organ.PANCREAS, 0.7, 0.0),
    Organ.UTERUS_OR_PROSTATE: (Organ.MYOCARDIUM, 0.55, 8.0),
    Organ.MARROW: (Organ.BODY, 1.5, 0.0),
    Organ.SKIN: (Organ.BODY, 2.5, 0.0),
    Organ.BREAST: (Organ.BODY, 2.0, 0.0),
    Organ.MEDIASTINUM: (Organ.BODY, 1.0, 0.0),
    Organ.BRAIN: (Organ.BODY, 0.6, 0.0),
    Organ.HYPERVASCULAR_TUMOUR: (Organ.SPLEEN, 0.75, 0.0),
    Organ.LUNG: (Organ.PULMONARY_ARTERY, 0.06, 0.0),
}
"""Organ -> (organ whose iodine it follows, factor, seconds later)."""


@dataclass(frozen=True)
class Physiology:
    """One patient's circulation and one injection: everything that `enhancement` needs besides organ and time."""

    circulation: Circulation
    kilovolts: int
    """Peak tube voltage, one of TUBE_VOLTAGE_FACTOR."""
    native: dict[Organ, float]
    """Unenhanced HU."""
    iodine: dict[Organ, Curve] = field(repr=False)
    """Iodine in mg/mL at `circulation.TIMES`."""
    urine_flow: float
    """mL/s of both kidneys; decides how concentrated urine is."""
    urine_delay: float
    """Seconds from the tubules to the renal pelvis."""
    factors: dict[Organ, float]
    """Organ -> its own factor on the enhancement, about 1."""
    reflux: float = 0.0
    """Share of the right heart's early contrast that falls back into the vena cava and the hepatic veins."""

    @classmethod
    def typical(cls, kilovolts: int = 120) -> "Physiology":
        """A 75 kg patient with middle native values."""
        native = {organ: (low + high) / 2 for organ, (low, high) in NATIVE.items()}
        return cls._build(Circulation(), kilovolts, native | dict.fromkeys(VESSELS, 40.0), 0.15, 60.0)

    @classmethod
    def random(cls, rng: Generator) -> "Physiology":
        """Weight, cardiac output, dose, injection, tube voltage, kidneys, native values: all drawn anew."""
        weight = float(np.clip(rng.normal(76, 16), 42, 140))
        injection = float(rng.uniform(12, 40)) if rng.random() < 0.8 else float(rng.uniform(35, 60))
        circulation = Circulation(
            weight_kg=weight,
            cardiac_output=float(105 * (weight / 75) ** 0.6 * np.exp(rng.normal(0, 0.18))),
            iodine_mg=float(1000 * weight * np.clip(rng.normal(0.46, 0.1), 0.2, 0.75)),
            injection_seconds=injection,
            arm_seconds=float(rng.uniform(5, 10)),
            haematocrit=float(rng.uniform(0.32, 0.48)),
            filtration=float(np.clip(rng.normal(1.8, 0.5), 0.3, 2.8)),
            portal_share=float(rng.uniform(0.19, 0.28)),
            leg_seconds=float(rng.uniform(30, 60)),
        )
        kilovolts = int(rng.choice(list(TUBE_VOLTAGE_FACTOR), p=[0.05, 0.05, 0.17, 0.05, 0.53, 0.05, 0.1]))
        return cls._build(circulation, kilovolts, _native(rng), float(np.exp(rng.uniform(-2.6, -0.7))),
                          float(rng.uniform(45, 80)), rng,
                          float(rng.uniform(0.1, 0.8)) if rng.random() < 0.3 else 0.0)  # fmt: skip

    @classmethod
    def _build(
        cls, circulation: Circulation, kilovolts: int, native: dict[Organ, float], flow: float, delay: float,
        rng: Generator | None = None, reflux: float = 0.0,
    ) -> "Physiology":  # fmt: skip
        iodine = concentrations(circulation)
        for organ, (source, factor, later) in _BORROWED.items():
            iodine[organ] = factor * np.interp(TIMES - later, TIMES, iodine[source]).astype(np.float32)
        spread = {o: 0.0 if o in VESSELS else 0.12 for o in iodine}
        factors = {o: float(np.exp(rng.normal(0, s))) if rng is not None else 1.0 for o, s in spread.items()}
        early = np.exp(-np.maximum(0, TIMES - circulation.injection_seconds - 4) / 6).astype(np.float32)
        for organ, share in ((Organ.INFERIOR_VENA_CAVA, reflux), (Organ.HEPATIC_VEIN, 0.5 * reflux)):
            iodine[organ] = iodine[organ] + share * early * iodine[Organ.RIGHT_HEART]
        return cls(circulation, kilovolts, native, iodine, flow, delay, factors, reflux)


def _native(rng: Generator) -> dict[Organ, float]:
    """Unenhanced HU of one patient: blood is one value, fatty liver and iron-laden liver occur, and dense bile."""
    native = {organ: float(rng.uniform(low, high)) for organ, (low, high) in NATIVE.items()}
    blood = float(np.clip(rng.normal(40, 5), 27, 55))
    native |= dict.fromkeys(VESSELS, blood)
    native[Organ.KIDNEY_MEDULLA] = native[Organ.KIDNEY_CORTEX] + float(rng.uniform(-3, 3))
    if rng.random() < 0.18:
        native[Organ.LIVER] = float(rng.uniform(-5, 42))
    elif rng.random() < 0.03:
        native[Organ.LIVER] = float(rng.uniform(70, 90))
    if rng.random() < 0.04:
        native[Organ.GALLBLADDER] = float(rng.uniform(40, 300))
    return native


def phase_at(seconds: float | None) -> Phase | None:
    """The phase's name at `seconds` after the start of the injection; None in between, where no name is right.

    `seconds` None means that no contrast was given.
    """
    if seconds is None:
        return Phase.UNENHANCED
    for phase, (low, high) in (
        (Phase.ARTERIAL, ARTERIAL_SECONDS),
        (Phase.PORTAL_VENOUS, PORTAL_VENOUS_SECONDS),
    ):
        if low <= seconds <= high:
            return phase
    return Phase.DELAYED if seconds >= DELAYED_SECONDS[0] else None


def enhancement(organ: Organ, seconds: float | None, physiology: Physiology) -> float:
    """Mean HU of `organ` at `seconds` after the start of the injection, None for no contrast."""
    native = physiology.native.get(organ, 0.0)
    if seconds is None:
        return native
    factor = HU_PER_MG_ML * TUBE_VOLTAGE_FACTOR[physiology.kilovolts] * physiology.factors.get(organ, 1.0)
    return native + factor * _iodine(organ, seconds, physiology)


def _iodine(organ: Organ, seconds: float, physiology: Physiology) -> float:
    if organ in (Organ.RENAL_PELVIS, Organ.URETER, Organ.BLADDER):
        return _urine(organ, seconds, physiology)
    curve = physiology.iodine.get(organ)
    return float(np.interp(seconds, TIMES, curve)) if curve is not None else 0.0


def _urine(organ: Organ, seconds: float, physiology: Physiology) -> float:
    """Iodine in urine, mg/mL: what the tubules let go, in the water of the urine, later the further down."""
    later = physiology.urine_delay + {Organ.RENAL_PELVIS: 0.0, Organ.URETER: 25.0, Organ.BLADDER: 70.0}[organ]
    rate = physiology.iodine[Organ.RENAL_PELVIS]
    if organ is Organ.BLADDER:
        fresh = np.interp(np.arange(0.0, max(0.0, seconds - later), 2.0), TIMES, rate).sum() * 2.0
        return float(min(30.0, fresh / 180.0))
    concentration = float(np.interp(seconds - later, TIMES, rate)) / physiology.urine_flow
    # Mixing compartments let a little through at once; papillae do not: nothing is seen before 105 s.
    open_share = float(np.clip((seconds - 105.0) / 60.0, 0.0, 1.0))
    return open_share * min(concentration, 60.0)


def mixing(organ: Organ, seconds: float | None, physiology: Physiology) -> float:
    """Standard deviation in HU of unmixed contrast in `organ`: streams in veins and right heart, striped spleen."""
    share = _MIXING.get(organ)
    if seconds is None or share is None:
        return 0.0
    fresh = float(np.exp(-max(0.0, seconds - physiology.circulation.injection_seconds - 8.0) / share[1]))
    return share[0] * fresh * (enhancement(organ, seconds, physiology) - physiology.native[organ])


_MIXING: dict[Organ, tuple[float, float]] = {
    Organ.SUPERIOR_VENA_CAVA: (0.30, 12.0),
    Organ.BRACHIOCEPHALIC_VEIN: (0.35, 12.0),
    Organ.RIGHT_HEART: (0.28, 10.0),
    Organ.PULMONARY_ARTERY: (0.04, 8.0),
    Organ.INFERIOR_VENA_CAVA: (0.35, 45.0),
    Organ.INFRARENAL_VENA_CAVA: (0.25, 60.0),
    Organ.ILIAC_VEIN: (0.30, 60.0),
    Organ.SPLEEN: (0.35, 14.0),
    Organ.MYOCARDIUM: (0.15, 15.0),
}
"""Organ -> (share of the enhancement that is unmixed, seconds in which that fades)."""

Attenuation = NDArray[np.float32]


@dataclass(frozen=True)
class EarlierBolus:
    """Contrast that was given before, for another acquisition or as the first part of a split bolus."""

    seconds_before: float
    """How long before the start of the injection."""
    share: float
    """Its dose relative to the injection's."""


def attenuation_table(
    seconds: float | None, physiology: Physiology, earlier: EarlierBolus | None = None
) -> tuple[Attenuation, Attenuation]:
    """(mean HU, HU of unmixed contrast) of every label: float32[256] each, indexed by Organ.

    The model is linear, so an earlier bolus simply adds what it would have left.
    """
    mean, unmixed = np.zeros(256, np.float32), np.zeros(256, np.float32)
    for organ in Organ:
        mean[organ] = enhancement(organ, seconds, physiology)
        unmixed[organ] = mixing(organ, seconds, physiology)
        if earlier is not None:
            left = enhancement(organ, (seconds or 0.0) + earlier.seconds_before, physiology)
            mean[organ] += earlier.share * (left - physiology.native.get(organ, 0.0))
    return mean, unmixed


def random_seconds(phase: Phase, physiology: Physiology, rng: Generator) -> float | None:
    """A time at which an acquisition of `phase` is made of this patient: arterial follows the bolus, as scanners do.

    An arterial time is drawn again while neither the pulmonary arteries nor the aorta have been reached.
    """
    if phase is Phase.UNENHANCED:
        return None
    if phase is Phase.PORTAL_VENOUS:
        return float(rng.uniform(*PORTAL_VENOUS_SECONDS))
    if phase is Phase.DELAYED:
        low, high = DELAYED_SECONDS
        return float(rng.uniform(low, 330.0)) if rng.random() < 0.8 else float(rng.uniform(330.0, high))
    for _ in range(20):
        seconds = float(rng.uniform(*ARTERIAL_SECONDS))
        aorta = enhancement(Organ.AORTA, seconds, physiology)
        if aorta > 150 or (rng.random() < 0.25 and enhancement(Organ.PULMONARY_ARTERY, seconds, physiology) > 180):
            return seconds
    return ARTERIAL_SECONDS[1]
