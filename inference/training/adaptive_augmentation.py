"""Adaptive discriminator augmentation (Karras 2020, "Training Generative Adversarial Networks with Limited Data").

Real and generated images are changed in the same random way before the discriminator sees them, each kind of change
with probability p. p rises while the discriminator is too sure of the real images, which is how it shows that it has
learned them by heart. As p stays below 0.8, and every change can be undone in distribution, none leaks into what is
generated. Of the published changes those are kept that make sense for slices: moves, scale, rotation, brightness,
contrast, noise; no mirror image and no colour.
"""

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

MOST = 0.8


@dataclass(frozen=True)
class Adaptation:
    """p, and how it follows the discriminator."""

    probability: float = 0.0
    target: float = 0.6
    """Wanted mean of sign(D(real))."""
    images_to_full: float = 100_000.0
    """Images in which p goes from 0 to 1 while the discriminator stays too sure."""

    def after(self, certainty: float, images: int) -> "Adaptation":
        """p after `images` images of which the mean of sign(D(real)) was `certainty`, -1 to 1."""
        step = images / self.images_to_full * (1.0 if certainty > self.target else -1.0)
        return replace(self, probability=min(MOST, max(0.0, self.probability + step)))


def augmented(image: Tensor, probability: float, generator: Generator) -> Tensor:
    """image[batch, 1, row, column] in -1..1, each changed at random; unchanged for probability 0."""
    if probability <= 0.0:
        return image
    moved = _moved(image, probability, generator)
    return _retoned(moved, probability, generator)


def _chosen(count: int, probability: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) < probability).float()


def _moved(image: Tensor, probability: float, generator: Generator) -> Tensor:
    """Shifted by up to an eighth, scaled, rotated; what comes in from outside is as dark as can be."""
    count = len(image)
    shift = (torch.rand((count, 2), generator=generator) - 0.5) * 0.5
    shift = shift * _chosen(count, probability, generator)[:, None]
    scale = torch.exp(torch.randn(count, generator=generator) * 0.14 * _chosen(count, probability, generator))
    turn = (torch.rand(count, generator=generator) - 0.5) * torch.pi / 2
    turn = turn * _chosen(count, probability, generator)
    cosine, sine = torch.cos(turn) / scale, torch.sin(turn) / scale
    rows = [torch.stack([cosine, -sine, shift[:, 0]], dim=1), torch.stack([sine, cosine, shift[:, 1]], dim=1)]
    matrix = torch.stack(rows, dim=1).to(image.device, image.dtype)
    grid = F.affine_grid(matrix, list(image.shape), align_corners=False)
    return F.grid_sample(image + 1.0, grid, align_corners=False) - 1.0


def _retoned(image: Tensor, probability: float, generator: Generator) -> Tensor:
    """Brighter or darker, more or less contrast, noisier."""
    count = len(image)

    def amounts(spread: float) -> Tensor:
        drawn = torch.randn(count, generator=generator) * spread * _chosen(count, probability, generator)
        return drawn.view(-1, 1, 1, 1).to(image.device, image.dtype)

    brightness, contrast, level = amounts(0.1), amounts(0.15).exp(), amounts(0.05).abs()
    noise = torch.randn(image.shape, generator=generator).to(image.device, image.dtype)
    return image * contrast + brightness + level * noise
