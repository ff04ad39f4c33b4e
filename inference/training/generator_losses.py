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


def apartness(latents: Tensor) -> Tensor:
    """How far the blocks' latents[batch, block, latent] lie from their common mean (Tov 2021): a mean square."""
    return (latents - latents.mean(dim=1, keepdim=True)).square().mean()


def energy_distance(some: Tensor, others: Tensor) -> Tensor:
    """2 E|x - y| - E|x - x'| - E|y - y'| of some[sample, latent] and others[sample, latent], without bias.

    Nought in expectation if and only if both come from the same distribution (Szekely 2013).
    """
    across = torch.cdist(some, others).mean()
    return 2.0 * across - _within(some) - _within(others)


def _within(values: Tensor) -> Tensor:
    count = len(values)
    return torch.cdist(values, values).sum() / max(count * (count - 1), 1)
