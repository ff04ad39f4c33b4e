"""Circulation: iodine carried by the blood, as a linear model of well-mixed compartments.

The structure follows Bae, Heiken & Brink (Radiology 1998;207:647): injection vein, right heart, lungs, left heart,
aorta, organs in parallel, each with a blood pool and an interstitial space, the gut and the spleen draining through
the portal vein into the liver, the kidneys filtering. Volumes and flows are those of textbooks for 70 kg, rounded;
every patient scales them anew. A delay is a chain of mixing compartments. Not a model of any person: a source of
enhancement curves that hang together, so that no organ enhances out of step with the vessel that feeds it.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from inference.phantom.organs import Organ

Curve = NDArray[np.float32]

TIMES = np.concatenate([np.arange(0.0, 300.0, 1.0), np.arange(300.0, 1200.1, 10.0)])
"""Seconds after the start of the injection at which the curves are known."""


@dataclass(frozen=True)
class Circulation:
    """What decides how iodine spreads."""

    weight_kg: float = 75.0
    cardiac_output: float = 105.0
    """mL/s."""
    iodine_mg: float = 34_000.0
    injection_seconds: float = 30.0
    arm_seconds: float = 7.5
    """Mean transit from the injected vein to the upper vena cava."""
    haematocrit: float = 0.42
    filtration: float = 2.0
    """Glomerular filtration rate of both kidneys together, mL of plasma/s."""
    portal_share: float = 0.23
    """Share of the cardiac output that passes the portal vein."""
    leg_seconds: float = 45.0
    """Mean transit of blood through the legs and the trunk wall."""


@dataclass
class _Network:
    """Compartments under construction: volumes in mL, flows in mL/s between them."""

    volumes: list[float] = field(default_factory=list)
    flows: list[tuple[int, int, float]] = field(default_factory=list)

    def pool(self, volume: float) -> int:
        self.volumes.append(volume)
        return len(self.volumes) - 1

    def chain(self, volume: float, count: int, flow: float) -> tuple[int, int]:
        """`count` pools in a row that share `volume`: (first, last)."""
        pools = [self.pool(volume / count) for _ in range(count)]
        for a, b in pairwise(pools):
            self.flow(a, b, flow)
        return pools[0], pools[-1]

    def flow(self, source: int, target: int, rate: float) -> None:
        """`target` -1 lets the iodine leave the model."""
        self.flows.append((source, target, rate))

    def exchange(self, blood: int, interstitium: int, rate: float, haematocrit: float) -> None:
        """Diffusion towards equal concentration of plasma and interstitial water."""
        self.flow(blood, interstitium, rate / (1.0 - haematocrit))
        self.flow(interstitium, blood, rate)

    def matrix(self) -> NDArray[np.float64]:
        """d(mass)/dt = matrix @ mass."""
        matrix = np.zeros((len(self.volumes), len(self.volumes)))
        for source, target, rate in self.flows:
            matrix[source, source] -= rate / self.volumes[source]
            if target >= 0:
                matrix[target, source] += rate / self.volumes[source]
        return matrix


def concentrations(circulation: Circulation) -> dict[Organ, Curve]:
    """Organ -> iodine in mg per mL of that organ at TIMES; organs that are not named here hold none.

    RENAL_PELVIS is the rate in mg/s at which iodine leaves the tubules of both kidneys: urine has no fixed volume.
    """
    network, names, entry = _body(circulation)
    masses = _simulate(network.matrix(), entry, circulation)
    volumes = np.array(network.volumes)
    return {organ: _mix(masses, volumes, parts).astype(np.float32) for organ, parts in names.items()}


_Parts = list[tuple[int, float]]


def _mix(masses: NDArray[np.float64], volumes: NDArray[np.float64], parts: _Parts) -> NDArray[np.float64]:
    """Sum of the concentrations of pools, each weighted by the share of the organ's volume that it fills."""
    pools = [pool for pool, _ in parts]
    shares = np.array([share for _, share in parts])
    mixed: NDArray[np.float64] = (masses[:, pools] / volumes[pools]) @ shares
    return mixed


def _simulate(matrix: NDArray[np.float64], entry: int, circulation: Circulation) -> NDArray[np.float64]:
    """mass[time, pool] in mg at TIMES, exact for an injection at constant rate that stops on a whole second."""
    size = len(matrix)
    source = np.zeros(size)
    source[entry] = circulation.iodine_mg / max(1.0, round(circulation.injection_seconds))
    augmented = np.zeros((size + 1, size + 1))
    augmented[:size, :size], augmented[:size, size] = matrix, source
    step, slow = expm(augmented), expm(10.0 * augmented[:size, :size])
    fast, feed = step[:size, :size], step[:size, size]
    masses = np.zeros((len(TIMES), size))
    for i in range(1, len(TIMES)):
        if TIMES[i] - TIMES[i - 1] > 1.5:
            masses[i] = slow @ masses[i - 1]
        else:
            masses[i] = fast @ masses[i - 1] + (feed if TIMES[i] <= round(circulation.injection_seconds) else 0.0)
    return masses


def _body(c: Circulation) -> tuple[_Network, dict[Organ, _Parts], int]:
    """The whole circulation: (network, organ -> pools and volume shares, the pool that is injected into)."""
    n, scale, q = _Network(), c.weight_kg / 70.0, c.cardiac_output
    upper_flow, coronary = 0.22 * q, 0.04 * q
    gut_flow, spleen_flow, pancreas_flow = (share * c.portal_share * q for share in (0.62, 0.30, 0.08))
    kidney_flow, artery_flow = 0.20 * q, 0.06 * q
    portal_flow = gut_flow + spleen_flow + pancreas_flow
    lower_flow = q - upper_flow - coronary - portal_flow - kidney_flow - artery_flow

    arm_in, arm_out = n.chain(4.0 * c.arm_seconds, 3, 4.0)
    cava_upper = n.pool(28.0 * scale)
    cava_iliac = n.chain(90.0 * scale, 2, lower_flow)
    cava_renal, cava_liver = n.pool(60.0 * scale), n.pool(50.0 * scale)
    right = n.pool(170.0 * scale)
    artery_lung, lung_out = n.chain(430.0 * scale, 4, q)
    left = n.pool(170.0 * scale)
    aorta = [n.pool(35.0 * scale) for _ in range(2)]
    iliac = n.pool(40.0 * scale)

    n.flow(arm_out, cava_upper, 4.0)
    n.flow(cava_upper, right, upper_flow)
    n.flow(cava_liver, right, lower_flow + kidney_flow + portal_flow + artery_flow)
    n.flow(right, artery_lung, q)
    n.flow(lung_out, left, q)
    n.flow(left, aorta[0], q)
    n.flow(aorta[0], aorta[1], q - upper_flow - coronary)
    n.flow(aorta[1], iliac, lower_flow)

    def organ(flow: float, feeder: int, blood: float, water: float, rate: float, pools: int) -> tuple[int, int, int]:
        first, last = n.chain(blood * scale, pools, flow)
        space = n.pool(water * scale)
        n.exchange(last, space, rate * scale, c.haematocrit)
        n.flow(feeder, first, flow)
        return first, last, space

    heart = organ(coronary, aorta[0], 35.0, 40.0, 1.0, 1)
    n.flow(heart[1], right, coronary)
    upper = organ(upper_flow, aorta[0], 500.0, 2600.0, 5.0, 3)
    n.flow(upper[1], cava_upper, upper_flow)
    gut = organ(gut_flow, aorta[1], 190.0, 800.0, 6.0, 3)
    spleen = organ(spleen_flow, aorta[1], 80.0, 40.0, 2.0, 2)
    pancreas = organ(pancreas_flow, aorta[1], 25.0, 25.0, 0.8, 1)
    portal = n.chain(60.0 * scale, 2, portal_flow)
    for bed, flow in ((gut, gut_flow), (spleen, spleen_flow), (pancreas, pancreas_flow)):
        n.flow(bed[1], portal[0], flow)
    liver = organ(artery_flow, aorta[1], 230.0, 330.0, 16.0, 1)
    n.flow(portal[1], liver[0], portal_flow)
    hepatic = n.chain(50.0 * scale, 2, portal_flow + artery_flow)
    n.flow(liver[1], hepatic[0], portal_flow + artery_flow)
    n.flow(hepatic[1], cava_liver, portal_flow + artery_flow)

    kidney = n.chain(90.0 * scale, 2, kidney_flow)
    n.flow(aorta[1], kidney[0], kidney_flow)
    vein = n.pool(25.0 * scale)
    n.flow(kidney[1], vein, kidney_flow)
    n.flow(vein, cava_renal, kidney_flow)
    filtered = c.filtration / (1.0 - c.haematocrit)
    proximal, loop, duct = n.pool(1.0), n.pool(1.0), n.pool(1.0)
    n.flow(kidney[0], proximal, filtered)
    n.flow(proximal, loop, 1.0 / 24.0)
    n.flow(loop, duct, 1.0 / 34.0)
    n.flow(duct, -1, 1.0 / 20.0)

    lower = organ(lower_flow, iliac, c.leg_seconds * lower_flow / scale, 6500.0, 9.0, 4)
    n.flow(lower[1], cava_iliac[0], lower_flow)
    n.flow(cava_iliac[1], cava_renal, lower_flow)
    n.flow(cava_renal, cava_liver, lower_flow + kidney_flow)

    cortex, medulla = 210.0 * scale, 100.0 * scale
    names: dict[Organ, _Parts] = {
        Organ.SUPERIOR_VENA_CAVA: [(cava_upper, 1.0)],
        Organ.BRACHIOCEPHALIC_VEIN: [(arm_out, 0.2), (cava_upper, 0.8), (upper[1], 0.2)],
        Organ.RIGHT_HEART: [(right, 1.0)],
        Organ.PULMONARY_ARTERY: [(right, 0.5), (artery_lung, 0.5)],
        Organ.PULMONARY_VEIN: [(lung_out, 1.0)],
        Organ.LEFT_HEART: [(left, 1.0)],
        Organ.AORTA: [(aorta[0], 0.5), (aorta[1], 0.5)],
        Organ.ILIAC_ARTERY: [(iliac, 1.0)],
        Organ.ILIAC_VEIN: [(lower[1], 0.5), (cava_iliac[0], 0.5)],
        Organ.INFRARENAL_VENA_CAVA: [(cava_iliac[1], 1.0)],
        Organ.INFERIOR_VENA_CAVA: [(cava_renal, 0.5), (cava_liver, 0.5)],
        Organ.JUGULAR_VEIN: [(upper[1], 1.0)],
        Organ.RENAL_VEIN: [(vein, 1.0)],
        Organ.PORTAL_VEIN: [(portal[0], 0.5), (portal[1], 0.5)],
        Organ.HEPATIC_VEIN: [(hepatic[0], 1.0)],
        Organ.LIVER: [(liver[1], 230.0 / 1600.0), (liver[2], 330.0 / 1600.0)],
        Organ.SPLEEN: [(spleen[0], 40.0 / 190.0), (spleen[1], 40.0 / 190.0), (spleen[2], 40.0 / 190.0)],
        Organ.PANCREAS: [(pancreas[1], 25.0 / 95.0), (pancreas[2], 25.0 / 95.0)],
        Organ.BOWEL_WALL: [(gut[0], 0.13), (gut[1], 0.13), (gut[2], 0.28)],
        Organ.MYOCARDIUM: [(heart[1], 0.16), (heart[2], 0.19)],
        Organ.BODY: [(lower[1], 0.02), (lower[2], 0.12)],
        Organ.THYROID: [(upper[0], 0.3), (upper[2], 0.2)],
        # A tubule's pool has a volume of 1 mL, so its "concentration" is its mass, here spread over the organ.
        Organ.KIDNEY_CORTEX: [
            (kidney[0], 38.0 * scale / cortex),
            (kidney[1], 38.0 * scale / cortex),
            (proximal, 1.0 / cortex),
            (loop, 0.48 / cortex),
        ],
        Organ.KIDNEY_MEDULLA: [(kidney[1], 14.0 * scale / medulla), (loop, 0.5 / medulla), (duct, 0.36 / medulla)],
        Organ.RENAL_PELVIS: [(duct, 1.0 / 20.0)],
    }
    return n, names, arm_in
