"""What generator and encoder are taught by images: to look like them, and to tell contrast from where things lie.

Where the generator takes anatomy, most reconstructions take it from a slice and the latents from the same slice at
another time, and must look like the latter: so the latents learn to say what contrast does, and nothing else can. Where
the tissues of a slice are known as well, as they are of phantoms and of painted volumes,

    tissue     the anatomy is taught which tissue is where; half of the slices are told, so that what fills a tissue
               and what is read from it need not wait until small vessels are found
    level      a linear readout finds the mean attenuation of each tissue that contrast reaches in w, so that what
               contrast does lies in it openly
    exchange   with another patient's latents these tissues take that patient's levels, …
    stir       … and what contrast does not reach stays as it is
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from inference.networks.stylegan2_blocks import parted
from inference.phantom.tissues import STILL, Tissue
from inference.training.generator_data import Images
from inference.training.generator_losses import level_loss, levels, shares_of, stirring, tissue_loss

SMOOTHED = 5
"""Pixels over which the difference of two times is averaged: what is noise and no contrast should not count."""
MOST_EVENED = 4.0
"""How much more a change counts at most where little else changes in its slice."""
TOLD = 0.5
"""Share of the slices whose tissues are told."""
EXCHANGED = 4
"""Of so many slices one is tried with another patient's latents."""


@dataclass(frozen=True)
class Lesson:
    """What a step is to reconstruct; images are [slice, 1, row, column] in -1..1."""

    real: Tensor
    """Slices: where things lie."""
    wanted: Tensor
    """The same slices or their others: how they are to look."""
    counts: Tensor
    """What each pixel counts: where contrast changes much, more."""
    truth: Tensor
    """Shares of tissues[slice, tissue, row, column], on the anatomy's pixels."""
    told: Tensor
    """[slice, 1, 1, 1]: 1 where the anatomy is told the truth, else 0."""

    @classmethod
    def of(cls, images: Images, same: float, changed: float, size: int, random: torch.Generator) -> "Lesson":
        """`same`: share of the slices that are wanted as they are; `changed`: see Weights; `size`: of the truth."""
        kept = torch.rand(len(images.real), generator=random) < same
        wanted = torch.where(kept.to(images.real.device)[:, None, None, None], images.real, images.other)
        change = evened(F.avg_pool2d(images.real - images.other, SMOOTHED, stride=1, padding=SMOOTHED // 2).abs())
        told = (torch.rand(len(images.real), generator=random) < TOLD).to(images.real)[:, None, None, None]
        return cls(images.real, wanted, 1.0 + changed * change, shares_of(images.tissue, len(Tissue), size), told)

    def first(self, count: int) -> "Lesson":
        """The first slices of it."""
        return Lesson(*(getattr(self, part.name)[:count] for part in fields(self)))

    def taught(self, anatomy: Tensor) -> Tensor:
        """anatomy[slice, channel, row, column] with the true tissues where they are told and known."""
        known = self.told * self.truth.sum(dim=1, keepdim=True)
        shares, texture = parted(anatomy, len(Tissue))
        return torch.cat([shares * (1.0 - known) + self.told * self.truth, texture], dim=1)


def evened(change: Tensor) -> Tensor:
    """change[slice, 1, row, column] >= 0, raised where a slice changes little in all.

    Or slices through the pelvis, where two small vessels tell the phase, would hardly count beside whole organs.
    """
    each = change.mean(dim=(1, 2, 3), keepdim=True)
    return change * (each.mean() / each.clamp(min=1e-6)).sqrt().clamp(1.0, MOST_EVENED)


def moving_levels(image: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Levels as in generator_losses, known only of tissues that contrast reaches: others are not to follow w."""
    mean, known = levels(image, truth)
    moving = torch.ones(len(Tissue), device=known.device)
    moving[list(STILL)] = 0.0
    return mean, known * moving


def tissue_losses(lesson: Lesson, shares: Sequence[Tensor], read: Tensor) -> Mapping[str, Tensor]:
    """Of shares[slice, tissue, row, column] of the slices at any times, and of levels read from w[slice, tissue]."""
    wanted, known = moving_levels(lesson.wanted, lesson.truth)
    tissue = torch.stack([tissue_loss(one, lesson.truth) for one in shares]).mean()
    return {"tissue": tissue, "level": level_loss(read, wanted, known)}


def exchange_losses(lesson: Lesson, made: Tensor, own: Tensor) -> Mapping[str, Tensor]:
    """Of made[slice, 1, row, column]: the lesson's first slices with the latents of the slice before each of them.

    own[slice, 1, row, column]: all slices with their own latents. What stays is compared to them, and not to the real
    slices, beside whose noise a change of one HU over all fat, more than what a small vessel does, would not be seen.
    """
    count = len(made)
    wanted, known = (of.roll(1, dims=0)[:count] for of in moving_levels(lesson.wanted, lesson.truth))
    found, there = levels(made, lesson.truth[:count])
    still = lesson.truth[:count, list(STILL)].sum(dim=1, keepdim=True)
    return {
        "exchange": level_loss(found, wanted, known * there),
        "stir": stirring(made, own[:count].detach(), F.interpolate(still, size=made.shape[2:])),
    }
