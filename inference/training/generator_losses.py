"""The losses of StyleGAN2, each a function of tensors; and what the encoder is taught.

discriminator   softplus(-D(x)) + softplus(D(G(z)))                      (Goodfellow 2014, non-saturating)
generator       softplus(-D(G(z)))
R1              gamma / 2 * |dD/dx|^2 on real images                     (Mescheder 2018)
path length     (|J^T y| - a)^2, a its running mean, y ~ N(0, 1)         (Karras 2020, section 3.2)
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RAREST = 5e-4
"""Share of a slice's pixels below which a tissue counts no more than others as rare."""
LEAST_ROOM = 2.4e-4
"""Share of the image that a tissue must fill for its level to be known: the two iliac arteries have thrice as much."""


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Of logits real[batch] and fake[batch]."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Of logits fake[batch]."""
    return F.softplus(-fake).mean()


def gradient_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """R1 without its weight: the mean over real[batch, 1, row, column] of |dD/dx|^2 / 2; can be differentiated."""
    leaf = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(leaf).sum(), leaf, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(image: Tensor, latents: Tensor, direction: Tensor) -> Tensor:
    """[batch]: |J^T y| of image[batch, 1, row, column] by latents[batch, block, latent], a mean over the blocks.

    direction: y ~ N(0, 1) in the image's shape; it is divided by the square root of the number of pixels.
    """
    pixels = image.shape[2] * image.shape[3]
    moved = (image * direction).sum() / math.sqrt(pixels)
    (gradient,) = torch.autograd.grad(moved, latents, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def reconstruction_loss(made: Tensor, image: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute difference at full, half and quarter size, and of the differences between neighbours.

    Coarse sizes keep the level of whole organs, which tells the phase, from being traded for sharp edges. `weight`, of
    the images' shape, is what each pixel counts in the former; None for 1.
    """
    loss = torch.zeros((), device=image.device)
    counts = torch.ones_like(image) if weight is None else weight
    for halvings in range(3):
        a, b, count = (F.avg_pool2d(x, 2**halvings) if halvings else x for x in (made, image, counts))
        loss = loss + ((a - b).abs() * count).mean()
    rows = (made.diff(dim=2) - image.diff(dim=2)).abs().mean()
    columns = (made.diff(dim=3) - image.diff(dim=3)).abs().mean()
    return loss + rows + columns


def tissue_loss(shares: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy of shares and truth, both [batch, tissue, row, column]; what is unknown has no truth.

    What is rare in a slice counts more, or vessels, a hundredth of it, would be learned last, and those of the pelvis,
    a thousandth, never.
    """
    rarity = (truth.mean(dim=(2, 3), keepdim=True) + RAREST).rsqrt()
    counts = truth * rarity
    loss: Tensor = -(counts * (shares.float() + 1e-5).log()).sum() / counts.sum().clamp(min=1e-6)
    return loss


def shares_of(tissue: Tensor, count: int, size: int) -> Tensor:
    """tissue[batch, row, column] -> its shares[batch, tissue, size, size]; nothing where it is UNKNOWN."""
    each = tissue[:, None] == torch.arange(count, device=tissue.device, dtype=tissue.dtype)[None, :, None, None]
    return F.adaptive_avg_pool2d(each.float(), (size, size))


def levels(image: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of image[batch, 1, row, column] in each tissue of truth[batch, tissue, row, column], and where there is any.

    Both [batch, tissue]. The truth may be coarser than the image.
    """
    coarse = F.adaptive_avg_pool2d(image, (truth.shape[2], truth.shape[3])).flatten(1)
    pixels = truth.sum(dim=(2, 3))
    mean = (truth.flatten(2) @ coarse[:, :, None])[:, :, 0] / pixels.clamp(min=1e-3)
    return mean, (pixels >= LEAST_ROOM * coarse.shape[1]).float()


def level_loss(found: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """Mean absolute difference of found[batch, tissue] and wanted[batch, tissue], where known[batch, tissue] is 1."""
    return ((found - wanted).abs() * known).sum() / known.sum().clamp(min=1.0)


def stirring(made: Tensor, image: Tensor, still: Tensor) -> Tensor:
    """Mean absolute difference of two images[batch, 1, row, column] where still[batch, 1, row, column] is 1."""
    return ((made - image).abs() * still).sum() / still.sum().clamp(min=1.0)


def energy_distance(some: Tensor, others: Tensor) -> Tensor:
    """2 E|x - y| - E|x - x'| - E|y - y'| of some[sample, latent] and others[sample, latent], without bias.

    Nought in expectation if and only if both come from the same distribution (Szekely 2013).
    """
    across = torch.cdist(some, others).mean()
    return 2.0 * across - _within(some) - _within(others)


def _within(values: Tensor) -> Tensor:
    count = len(values)
    return torch.cdist(values, values).sum() / max(count * (count - 1), 1)
