"""The organs' vote, fitted on the circulation model of the phantoms: no picture, no patient, no network.

    python -m inference.training.organ_vote [--patients 1500] [--seed 7] [--out TABLE]

Each synthetic patient gives the HU of the organs at a time in every stretch. A measurement is not the truth: masks
reach into their neighbours, the vena cava is measured here with and there without its lower part, scanners differ by
some HU. These errors are drawn as well, so that the vote trusts no organ further than it can be measured.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from inference.organ_vote import NATIVE_HU, TABLE, Stretch, VoteModel, scaled, to_json
from inference.phantom.contrast import Physiology, enhancement
from inference.phantom.organs import ENGLISH, Organ
from inference.phases import PHASES, Phase
from inference.segment import ORGANS as SEGMENTED

Array = NDArray[np.float64]

ORGANS: tuple[Organ, ...] = tuple(organ for organ in SEGMENTED if organ is not Organ.BLADDER)
"""The organs that vote. Not the bladder: what it holds may be of an earlier examination."""
STRETCHES: tuple[tuple[tuple[float, float] | None, Mapping[Phase, float], float], ...] = (
    (None, {Phase.UNENHANCED: 1.0}, 1.0),
    ((15.0, 23.0), {Phase.ARTERIAL: 1.0}, 0.25),
    ((23.0, 30.0), {Phase.ARTERIAL: 1.0}, 0.25),
    ((30.0, 37.0), {Phase.ARTERIAL: 1.0}, 0.25),
    ((37.0, 45.0), {Phase.ARTERIAL: 1.0}, 0.25),
    ((45.0, 55.0), {Phase.ARTERIAL: 0.5, Phase.PORTAL_VENOUS: 0.5}, 0.15),
    ((55.0, 70.0), {Phase.PORTAL_VENOUS: 1.0}, 0.34),
    ((70.0, 90.0), {Phase.PORTAL_VENOUS: 1.0}, 0.33),
    ((90.0, 110.0), {Phase.PORTAL_VENOUS: 1.0}, 0.33),
    ((110.0, 140.0), {Phase.PORTAL_VENOUS: 0.6, Phase.DELAYED: 0.4}, 0.15),
    ((140.0, 170.0), {Phase.PORTAL_VENOUS: 0.3, Phase.DELAYED: 0.7}, 0.15),
    ((170.0, 240.0), {Phase.DELAYED: 1.0}, 0.4),
    ((240.0, 330.0), {Phase.DELAYED: 1.0}, 0.35),
    ((330.0, 720.0), {Phase.DELAYED: 1.0}, 0.25),
)
"""Seconds since the injection, the phases' shares, and how often such a time is met: the phases equally often."""
LEAKS: tuple[tuple[Organ, Organ, float], ...] = (
    (Organ.PORTAL_VEIN, Organ.LIVER, 0.35),
    (Organ.KIDNEY_CORTEX, Organ.KIDNEY_MEDULLA, 0.3),
    (Organ.KIDNEY_MEDULLA, Organ.KIDNEY_CORTEX, 0.35),
    (Organ.RENAL_PELVIS, Organ.KIDNEY_MEDULLA, 0.4),
)
"""(organ, neighbour that its mask reaches into, largest share of it)."""
FAT_SHARE = {Organ.RENAL_PELVIS: 0.3, Organ.PORTAL_VEIN: 0.15, Organ.INFERIOR_VENA_CAVA: 0.08, Organ.KIDNEY_CORTEX: 0.1}
"""Largest share of fat at -100 HU that a mask takes in."""
WEAKER = {Organ.SPLEEN: 0.5}
"""Least share of the model's enhancement: its spleens are about as bright as its vessels, and textbooks' (100 to 140 HU
in the portal venous phase, beside 140 to 190 in the aorta) are not. The truth is taken to lie anywhere in between."""
SCANNER_HU, ORGAN_HU = 4.0, 5.0
"""Standard deviation of what shifts all organs of a series, and of what shifts each alone."""
FREEDOM = 8.0
LEAST_ENHANCEMENT_HU = 30.0
"""An acquisition in which the aorta is no longer brighter than this is called after no phase."""


def fit(patients: int, seed: int) -> VoteModel:
    """The model of `patients` synthetic patients, calibrated on as many others."""
    rng = np.random.default_rng([seed, 1])
    drawn = [measured_hu(each, rng) for each in _patients(patients, rng)]
    stretches = [_stretch(number, np.stack([hu[number] for hu in drawn if number in hu])) for number in _NUMBERS]
    names = tuple(ENGLISH[organ] for organ in ORGANS)
    model = VoteModel(names, tuple(stretches), FREEDOM, 1.0, _quantiles(drawn))
    return replace(model, temperature=_temperature(model, np.random.default_rng([seed, 2]), patients // 3))


_NUMBERS = tuple(range(len(STRETCHES)))


def _patients(count: int, rng: Generator) -> Iterator[Physiology]:
    for _ in range(count):
        yield Physiology.random(rng)


def measured_hu(patient: Physiology, rng: Generator) -> dict[int, Array]:
    """Number of a stretch -> HU[organ] as measured at a time in it; without a stretch in which nothing is bright."""
    found = {}
    for number, (seconds, _, _) in enumerate(STRETCHES):
        time = None if seconds is None else float(rng.uniform(*seconds))
        reached = enhancement(Organ.AORTA, time, patient) - patient.native[Organ.AORTA]
        least = 110.0 if seconds is not None and seconds[1] <= 45.0 else LEAST_ENHANCEMENT_HU
        if time is None or reached > least:
            found[number] = _with_errors(time, patient, rng)
    return found


def _with_errors(seconds: float | None, patient: Physiology, rng: Generator) -> Array:
    true = {organ: enhancement(organ, seconds, patient) for organ in ORGANS}
    lower = enhancement(Organ.INFRARENAL_VENA_CAVA, seconds, patient)
    share = float(rng.uniform(0.0, 0.7))
    true[Organ.INFERIOR_VENA_CAVA] = (1 - share) * true[Organ.INFERIOR_VENA_CAVA] + share * lower
    for organ, least in WEAKER.items():
        native = patient.native[organ]
        true[organ] = native + float(rng.uniform(least, 1.0)) * (true[organ] - native)
    seen = dict(true)
    for organ, neighbour, most in LEAKS:
        leak = most * float(rng.uniform()) ** 2
        seen[organ] = (1 - leak) * true[organ] + leak * true[neighbour]
    for organ, most in FAT_SHARE.items():
        fat = most * float(rng.uniform()) ** 3
        seen[organ] = (1 - fat) * seen[organ] - 100.0 * fat
    error = rng.normal(0, SCANNER_HU) + rng.normal(0, ORGAN_HU, len(ORGANS))
    return np.array([seen[organ] for organ in ORGANS]) + error


def _stretch(number: int, hounsfield: Array) -> Stretch:
    """The distribution of hounsfield[patient, organ]; its scatter as a t of FREEDOM degrees has it."""
    seconds, shares, prior = STRETCHES[number]
    values = scaled(hounsfield)
    covariance = np.cov(values.T) * (FREEDOM - 2.0) / FREEDOM + 1e-4 * np.eye(len(ORGANS))
    return Stretch(seconds, shares, prior, values.mean(axis=0), covariance)


def _quantiles(drawn: Sequence[Mapping[int, Array]]) -> dict[Phase, dict[str, tuple[float, float]]]:
    """HU between the tenth and the ninetieth percentile of each organ in the stretches that are of one phase alone."""
    found = {}
    for phase in PHASES:
        own = [n for n, (_, shares, _) in enumerate(STRETCHES) if shares.get(phase) == 1.0]
        table = np.concatenate([[hu[n] for hu in drawn if n in hu] for n in own])
        low, high = np.quantile(table, (0.1, 0.9), axis=0)
        found[phase] = {ENGLISH[organ]: (float(a), float(b)) for organ, a, b in zip(ORGANS, low, high, strict=True)}
    return found


def _temperature(model: VoteModel, rng: Generator, patients: int) -> float:
    """The temperature with the highest likelihood on fresh patients of whom a random half of the organs is known."""
    cases = []
    for patient in _patients(patients, rng):
        for number, hounsfield in measured_hu(patient, rng).items():
            kept = rng.random(len(ORGANS)) < rng.uniform(0.3, 1.0)
            known = {name: float(hu) for name, hu, keep in zip(model.organs, hounsfield, kept, strict=True) if keep}
            if len(known) > 1:
                cases.append((known, STRETCHES[number][1], STRETCHES[number][2]))

    def loss(temperature: float) -> float:
        tried = replace(model, temperature=temperature)
        total = 0.0
        for known, shares, prior in cases:
            found = tried.probabilities(known)
            if found is not None:
                total -= prior * sum(share * float(np.log(max(found[p], 1e-9))) for p, share in shares.items())
        return total

    return min((1.0, 1.15, 1.3, 1.5, 1.75, 2.0), key=loss)


def main() -> int:
    """Fits and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=TABLE)
    asked = parser.parse_args()
    model = fit(asked.patients, asked.seed)
    made = f"inference.training.organ_vote --patients {asked.patients} --seed {asked.seed}"
    asked.out.write_text(
        to_json(model, made_by=made, data="synthetic: the circulation model of inference.phantom"), encoding="utf-8"
    )
    print(f"{asked.out}: temperature {model.temperature}, {NATIVE_HU:.0f} HU native")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
