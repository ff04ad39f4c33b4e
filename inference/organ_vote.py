"""The organs' vote: which phase the HU of the organs speak for, by a model that knows nothing of the phase network.

For each stretch of time since the injection, `VoteModel` holds what HU a population has in the organs then: a
multivariate t distribution of the HU on a logarithmic scale, for enhancement grows by factors. An organ that was not
measured is marginalised: its rows and columns are left out, exactly. Differences between organs (cortex against
medulla, aorta against portal vein) are in the covariance. The parameters come from the circulation model of the
phantoms (`inference.training.organ_vote`) and are kept beside the weights.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.errors import InvalidBundle
from inference.findings import OrganMeasurement, OrganVote
from inference.phases import PHASES, Phase

Array = NDArray[np.float64]

TABLE = Path(__file__).parent / "weights" / "organ_vote.json"
FEWEST_ORGANS = 2
NATIVE_HU, LINEAR_HU = 40.0, 50.0
"""Blood without contrast, and the enhancement up to which the scale is about linear."""
FARTHEST = 9.0
"""Standard deviations per root of the number of organs, from the nearest stretch of time, beyond which the organs
look like nothing that was ever learned from: no vote."""


def scaled(hounsfield: Array) -> Array:
    """HU -> the scale of the model: about linear around unenhanced blood, logarithmic above."""
    return np.asarray(np.arcsinh((hounsfield - NATIVE_HU) / LINEAR_HU))


@dataclass(frozen=True)
class Stretch:
    """What organs look like in one stretch of time."""

    seconds: tuple[float, float] | None
    """Since the start of the injection; None: no contrast was given."""
    shares: Mapping[Phase, float]
    """Which phase the stretch counts for; two of them between the phases. Sums to 1."""
    prior: float
    mean: Array
    """[organ], scaled."""
    covariance: Array
    """[organ, organ]."""


@dataclass(frozen=True)
class VoteModel:
    """The stretches of time, and how far their distributions are believed."""

    organs: tuple[str, ...]
    """Names as in `OrganMeasurement.organ`, in the order of the means."""
    stretches: tuple[Stretch, ...]
    freedom: float
    """Degrees of freedom of the t distributions; small ones believe little."""
    temperature: float
    """Log likelihoods are divided by this: organs of one patient err together."""
    quantiles: Mapping[Phase, Mapping[str, tuple[float, float]]]
    """HU that 80 % of the population have in each organ, by phase."""

    def probabilities(self, hounsfield: Mapping[str, float]) -> dict[Phase, float] | None:
        """Probability of each phase from median HU by organ; None when nothing learned from looks like that."""
        known = [i for i, organ in enumerate(self.organs) if organ in hounsfield]
        values = scaled(np.array([hounsfield[self.organs[i]] for i in known], dtype=np.float64))
        fits = [self._fit(stretch, known, values) for stretch in self.stretches]
        if min(distance for _, distance in fits) > FARTHEST * math.sqrt(max(len(known), 1)):
            return None
        logs = np.array([log for log, _ in fits]) / self.temperature
        weights = np.exp(logs - logs.max()) * np.array([stretch.prior for stretch in self.stretches])
        found = np.array([[stretch.shares.get(phase, 0.0) for phase in PHASES] for stretch in self.stretches])
        shares = weights @ found / weights.sum()
        return {phase: float(share) for phase, share in zip(PHASES, shares, strict=True)}

    def _fit(self, stretch: Stretch, known: Sequence[int], values: Array) -> tuple[float, float]:
        """(log density, Mahalanobis distance) of the known organs in one stretch: a marginal of a t is a t."""
        covariance, away = stretch.covariance[np.ix_(known, known)], values - stretch.mean[list(known)]
        lower = np.linalg.cholesky(covariance)
        square = float((np.linalg.solve(lower, away) ** 2).sum())
        size, nu = len(known), self.freedom
        norm = math.lgamma((nu + size) / 2) - math.lgamma(nu / 2) - size / 2 * math.log(nu * math.pi)
        log = norm - float(np.log(np.diag(lower)).sum()) - (nu + size) / 2 * math.log1p(square / nu)
        return log, math.sqrt(square)


def vote(organs: Sequence[OrganMeasurement], model: VoteModel | None = None) -> OrganVote | None:
    """What the organs say; None when there are fewer than FEWEST_ORGANS, or they look like no known patient."""
    model = model or load()
    hounsfield = {found.organ: found.median_hu for found in organs if found.organ in model.organs}
    if len(hounsfield) < FEWEST_ORGANS:
        return None
    probabilities = model.probabilities(hounsfield)
    if probabilities is None:
        return None
    return OrganVote(probabilities, _telling(hounsfield, probabilities, model))


def _telling(
    hounsfield: Mapping[str, float], probabilities: Mapping[Phase, float], model: VoteModel
) -> tuple[str, ...]:
    """The organs, the one first without which the best phase would lead the others by least."""
    best = max(PHASES, key=lambda phase: probabilities[phase])

    def lead_without(organ: str) -> float:
        others = model.probabilities({name: hu for name, hu in hounsfield.items() if name != organ})
        return math.inf if others is None else _lead(others, best)

    return tuple(sorted(hounsfield, key=lead_without))


def _lead(probabilities: Mapping[Phase, float], phase: Phase) -> float:
    """Log of the odds of a phase."""
    share = min(max(probabilities[phase], 1e-9), 1.0 - 1e-9)
    return math.log(share / (1.0 - share))


@lru_cache(maxsize=1)
def load() -> VoteModel:
    """The model that is shipped. Raises InvalidBundle when its table cannot be read."""
    try:
        return from_json(TABLE.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidBundle(f"{TABLE} is no table of the organs' vote: {error!r}") from error


def from_json(text: str) -> VoteModel:
    """The model that `to_json` wrote."""
    kept = json.loads(text)
    return VoteModel(
        organs=tuple(kept["organs"]),
        stretches=tuple(_stretch(row) for row in kept["stretches"]),
        freedom=float(kept["freedom"]),
        temperature=float(kept["temperature"]),
        quantiles={
            Phase(phase): {organ: (float(low), float(high)) for organ, (low, high) in table.items()}
            for phase, table in kept["quantiles"].items()
        },
    )


def _stretch(row: Mapping[str, object]) -> Stretch:
    seconds, shares = row["seconds"], row["shares"]
    assert isinstance(shares, Mapping)
    return Stretch(
        seconds=(float(seconds[0]), float(seconds[1])) if isinstance(seconds, list) else None,
        shares={Phase(phase): float(share) for phase, share in shares.items()},
        prior=float(str(row["prior"])),
        mean=np.array(row["mean"], dtype=np.float64),
        covariance=np.array(row["covariance"], dtype=np.float64),
    )


def to_json(model: VoteModel, **facts: object) -> str:
    """The model as a small table, with what else is to be known of it."""
    rows = [
        {
            "seconds": list(stretch.seconds) if stretch.seconds else None,
            "shares": {phase.value: share for phase, share in stretch.shares.items()},
            "prior": stretch.prior,
            "mean": np.round(stretch.mean, 4).tolist(),
            "covariance": np.round(stretch.covariance, 5).tolist(),
        }
        for stretch in model.stretches
    ]
    limits = {
        phase.value: {organ: [round(hu) for hu in between] for organ, between in table.items()}
        for phase, table in model.quantiles.items()
    }
    kept: dict[str, object] = {**facts, "organs": model.organs, "freedom": model.freedom}
    kept |= {"temperature": model.temperature}
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in kept.items()]
    lines += [f' "{name}": {_block(table)}' for name, table in (("quantiles", limits), ("stretches", rows))]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _block(table: Mapping[str, object] | Sequence[object]) -> str:
    """JSON with one line for each entry."""
    if isinstance(table, Mapping):
        return "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in table.items()) + "\n }"
    return "[\n" + ",\n".join("  " + json.dumps(row) for row in table) + "\n ]"
