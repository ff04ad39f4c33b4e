"""Walk: a slice moved along a direction in steps of standard deviations, with the model's answer to every step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from inference.counterfactual.cloud import Array
from inference.counterfactual.model import CounterfactualModel
from inference.counterfactual.predictor import probabilities
from inference.counterfactual.regions import Region
from inference.phases import PHASES

STEPS_SD: tuple[float, ...] = tuple(float(step) for step in np.linspace(-3.0, 3.0, 13))
"""A symmetric grid, in standard deviations of the known latents."""


@dataclass(frozen=True)
class Walk:
    """x_lambda = G(w + lambda * direction), and f(x_lambda)."""

    direction: str
    """A class, or "class > class"."""
    region: Region
    """Whose latents the direction was learned from."""
    target: int
    """Class that the direction leads to."""
    steps_sd: tuple[float, ...]
    """lambda, rising."""
    hounsfield: NDArray[np.float32]
    """hounsfield[step, row, column] of the view."""
    logits: Array
    """[step, class]."""

    @property
    def start(self) -> int:
        """Index of the step that is nearest to none."""
        return int(np.abs(np.array(self.steps_sd)).argmin())

    @property
    def probabilities(self) -> Array:
        """[step, class]."""
        return probabilities(self.logits)

    @property
    def change(self) -> NDArray[np.float32]:
        """|x_lambda - x_0| in HU: [step, row, column]."""
        return np.asarray(np.abs(self.hounsfield - self.hounsfield[self.start]))

    @property
    def spearman(self) -> float:
        """Rank correlation of lambda and the logit of the target: 1 when every step brings it nearer."""
        return float(spearmanr(self.steps_sd, self.logits[:, self.target]).statistic)

    @property
    def flip_sd(self) -> float | None:
        """Smallest positive lambda at which the model answers the target; None when none does."""
        said = self.logits.argmax(axis=1)
        ahead = [step for step, c in zip(self.steps_sd, said, strict=True) if step > 0 and c == self.target]
        return min(ahead) if ahead else None

    @property
    def holds(self) -> bool:
        """Whether the model answers the target from some step on and to the end."""
        return self.flip_sd is not None and bool(
            (self.logits.argmax(axis=1) == self.target)[np.array(self.steps_sd) >= self.flip_sd].all()
        )


def walk(
    model: CounterfactualModel,
    latents: Tensor,
    direction: str,
    steps_sd: Sequence[float] = STEPS_SD,
    anatomy: Tensor | None = None,
    region: Region = Region.ALL,
) -> Walk:
    """latents[block, latent] moved along a direction, in every block alike. Raises KeyError for an unknown one.

    anatomy[channel, row, column], where the generator takes any, stays as it is.
    """
    steps = torch.tensor(list(steps_sd), dtype=torch.float32)
    along = torch.from_numpy(model.step(direction, region)).float()
    moved = latents[None] + steps[:, None, None] * along[None, None]
    with torch.no_grad():
        made = model.images(moved, None if anatomy is None else anatomy.expand(len(moved), -1, -1, -1))
    target = target_of(direction)
    return Walk(direction, region, target, tuple(map(float, steps_sd)), made.numpy(), model.logits(made))


def target_of(direction: str) -> int:
    """Index of the class that a direction leads to."""
    return [phase.value for phase in PHASES].index(direction.split(" > ")[-1])
