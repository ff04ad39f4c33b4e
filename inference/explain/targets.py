"""Targets: the number of each image that is explained.

A target turns the network's output into one score an image, y[batch]. A class's logit is the usual one; the sum over a
segmentation's mask (Grad-CAM for segmentation, EIECS 2021; Seg-Grad-CAM, Vinogradova et al., 2020) is another, and
everything else follows from it in the same pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Score = Callable[[Any], Tensor]


@dataclass(frozen=True)
class Target:
    """A score with its name, and whether an image has it at all."""

    name: str
    kind: str
    """"logit" or "prob"."""
    score: Score
    """score(output of the network) -> y[batch], differentiable."""
    present: Callable[[Any], Tensor] | None = None
    """present(output) -> bool[batch]: False where there is nothing to explain, and the maps are zero. None: always."""
    class_indices: int | tuple[int, ...] | None = None
    """The class of each image where the score is a class's logit: what CAM needs."""

    def __call__(self, output: Any) -> Tensor:
        return self.score(output)


def phase_logit(index: int | Sequence[int]) -> Target:
    """The pre-softmax logit of one class for all images, or of one class for each image of the batch."""
    indices = index if isinstance(index, int) else tuple(int(i) for i in index)

    def score(output: Any) -> Tensor:
        logits = first_tensor(output)
        if isinstance(indices, int):
            return logits[:, indices]
        if len(indices) != len(logits):
            raise ValueError(f"{len(indices)} classes for {len(logits)} images")
        return logits.gather(1, torch.tensor(indices, device=logits.device)[:, None])[:, 0]

    return Target(f"logit {index if isinstance(index, int) else list(index)}", "logit", score, class_indices=indices)


def mask_sum(threshold: float = 0.5, score: str = "prob", channel: int | None = None, output: int = -1) -> Target:
    """The sum over the pixels that a segmentation network puts into its mask.

    One channel: M = {sigmoid(z) > threshold}, as published. `channel` of several: M = {argmax = channel}. "prob" sums
    the probabilities, which weighs a pixel m(1 - m), so that confident interiors vanish; "logit" sums the logits. Which
    pixels belong to M is not differentiated. `output` picks one of several masks that the network returns. An image
    with no pixel in M is not present: its maps are zero. Raises ValueError for another kind of score.
    """
    if score not in ("prob", "logit"):
        raise ValueError(f"score is {score!r}, not 'prob' or 'logit'")

    def parts(result: Any) -> tuple[Tensor, Tensor]:
        logits = result[output] if isinstance(result, (tuple, list)) else result
        if channel is None:
            values = torch.sigmoid(logits)
            inside = values > threshold
        else:
            values, inside = torch.softmax(logits, 1)[:, channel], logits.argmax(1) == channel
            logits = logits[:, channel]
        return (values if score == "prob" else logits).flatten(1), inside.detach().flatten(1)

    def total(result: Any) -> Tensor:
        values, inside = parts(result)
        return (values * inside).sum(1)

    name = f"sum of {score} in the mask" + ("" if channel is None else f" of channel {channel}")
    return Target(name, score, total, present=lambda result: parts(result)[1].any(1))


def as_target(target: "int | Sequence[int] | Score | Target") -> Target:
    """What explain() was given, as a Target."""
    if isinstance(target, Target):
        return target
    if callable(target):
        return Target(getattr(target, "__name__", "custom"), "custom", target)
    return phase_logit(target)


def first_tensor(output: Any) -> Tensor:
    """The logits of a network that may return them first of several outputs. Raises ValueError if there are none."""
    while not isinstance(output, Tensor):
        if isinstance(output, dict) and "logits" in output:
            output = output["logits"]
        elif isinstance(output, (tuple, list)) and output:
            output = output[0]
        else:
            raise ValueError(f"no logits in a {type(output).__name__}: hand in a target that finds them")
    return output
