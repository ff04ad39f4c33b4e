"""The inverter: a residual encoder image -> w and anatomy, and what is known of the latents it leads to.

Anatomy, where the generator takes any, is read by a pyramid (Lin 2017, "Feature Pyramid Networks"): fine features that
know what they are part of.
There is one w for all blocks: what one of them knew by itself about contrast would stay behind when w is moved. Over
all images w has zero mean and unit variance: without that, an encoder that begins with nearly the same w for every
image teaches the generator to draw the mean image.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from inference.networks.stylegan2 import Generator, Shape, Trunk
from inference.networks.stylegan2_blocks import GAIN, EqualConv, EqualLinear, activated, doubled

Code = tuple[Tensor, Tensor | None]
"""latents[batch, block, latent]; anatomy[batch, channel, row, column] or None."""


SHARPNESS = 4.0
"""Of the shares of tissues: equalised weights, which move slowly, need not grow for one tissue to be certain."""


class Pyramid(nn.Module):
    """Features of all sizes -> anatomy[batch, channel, row, column]: each size is refined by the one above it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        here = shape.channels(shape.anatomy_size)
        self.sizes = [size for size in shape.sizes if size <= shape.anatomy_size]
        self.across = nn.ModuleList(EqualConv(shape.channels(size), here, 1) for size in self.sizes)
        self.within = nn.ModuleList(EqualConv(here, here, 3) for _ in self.sizes)
        self.last = EqualConv(here, shape.anatomy, 1)
        self.tissues = shape.tissues

    def forward(self, levels: list[Tensor]) -> Tensor:
        """levels[size]: from the image's own size down to the smallest."""
        x: Tensor | None = None
        for across, within, level in zip(self.across, self.within, reversed(levels), strict=False):
            beside = across(level)
            x = activated(within(beside if x is None else (doubled(x) + beside) / GAIN))
        found: Tensor = self.last(x)
        if not self.tissues:
            return found
        shares = (SHARPNESS * found[:, : self.tissues].float()).softmax(dim=1)
        return torch.cat([shares, found[:, self.tissues :].float()], dim=1)


class Encoder(nn.Module):
    """image[batch, 1, row, column] -> latents[batch, block, latent], and anatomy where the generator takes any."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        here = shape.channels(shape.base)
        self.trunk = Trunk(shape)
        self.last = EqualConv(here, here, 3)
        self.hidden = EqualLinear(here * shape.base**2, 4 * here)
        self.common = EqualLinear(4 * here, shape.latent)
        self.unit = nn.BatchNorm1d(shape.latent, affine=False)
        self.pyramid = Pyramid(shape) if shape.anatomy else None

    def forward(self, image: Tensor) -> Tensor:
        return self._latents(self.trunk(image))

    def code(self, image: Tensor) -> Code:
        """Both of one image."""
        levels = self.trunk.levels(image)
        return self._latents(levels[-1]), None if self.pyramid is None else self.pyramid(levels)

    def anatomy(self, image: Tensor) -> Tensor | None:
        """Where things lie."""
        return None if self.pyramid is None else self.pyramid(self.trunk.levels(image))

    def _latents(self, features: Tensor) -> Tensor:
        x = activated(self.last(features))
        x = activated(self.hidden(x.flatten(1)))
        w: Tensor = self.unit(self.common(x).float())
        return w[:, None].expand(-1, self.shape.blocks, -1)


class CounterfactualNetwork(nn.Module):
    """Generator, encoder, the cloud of known latents and the directions in it: all that a bundle holds."""

    mean: Tensor
    spread: Tensor
    directions: Tensor

    def __init__(self, shape: Shape, directions: int) -> None:
        super().__init__()
        self.generator = Generator(shape)
        self.encoder = Encoder(shape)
        self.register_buffer("mean", torch.zeros(shape.latent))
        self.register_buffer("spread", torch.eye(shape.latent))
        self.register_buffer("directions", torch.zeros(directions, shape.latent))

    def forward(self, image: Tensor) -> Tensor:
        """The reconstruction of image[batch, 1, row, column]."""
        latents, anatomy = self.encoder.code(image)
        return self.generator.synthesis(latents, anatomy=anatomy)  # type: ignore[no-any-return]


def counterfactual_network(options: Mapping[str, Any]) -> CounterfactualNetwork:
    """From a model card's options. Raises KeyError, TypeError or ValueError when they do not describe one."""
    return CounterfactualNetwork(Shape.from_options(options), len(options["directions"]))
