"""The inverter: a residual encoder image -> latents in W+, and what is known of the latents it leads to.

One w for all blocks and a little for each of them (Tov 2021, "Designing an Encoder for StyleGAN Image Manipulation")
stay near the latents that the generator knows. Over all images w has zero mean and unit variance: without that, an
encoder that begins with nearly the same w for every image teaches the generator to draw the mean image.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from inference.networks.stylegan2 import Generator, Shape, Trunk
from inference.networks.stylegan2_blocks import EqualConv, EqualLinear, activated


class Encoder(nn.Module):
    """image[batch, 1, row, column] -> latents[batch, block, latent]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        here = shape.channels(shape.base)
        self.trunk = Trunk(shape)
        self.last = EqualConv(here, here, 3)
        self.hidden = EqualLinear(here * shape.base**2, 4 * here)
        self.common = EqualLinear(4 * here, shape.latent)
        self.unit = nn.BatchNorm1d(shape.latent, affine=False)
        self.apart = EqualLinear(4 * here, shape.latent * shape.blocks)
        nn.init.zeros_(self.apart.weight)

    def forward(self, image: Tensor) -> Tensor:
        x = activated(self.last(self.trunk(image)))
        x = activated(self.hidden(x.flatten(1)))
        apart = self.apart(x).view(len(image), self.shape.blocks, self.shape.latent)
        return self.unit(self.common(x).float())[:, None] + apart.float()  # type: ignore[no-any-return]


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
        return self.generator.synthesis(self.encoder(image))  # type: ignore[no-any-return]


def counterfactual_network(options: Mapping[str, Any]) -> CounterfactualNetwork:
    """From a model card's options. Raises KeyError, TypeError or ValueError when they do not describe one."""
    return CounterfactualNetwork(Shape.from_options(options), len(options["directions"]))
