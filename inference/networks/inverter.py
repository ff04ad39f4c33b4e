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
from torch.nn import functional as F

from inference.networks.stylegan2 import Generator, Shape, Trunk
from inference.networks.stylegan2_blocks import GAIN, EqualConv, EqualLinear, activated, doubled, parted

Code = tuple[Tensor, Tensor | None]
"""latents[batch, block, latent]; anatomy[batch, channel, row, column] or None."""


SHARPNESS = 4.0
"""Of the shares of tissues: equalised weights, which move slowly, need not grow for one tissue to be certain."""


MOST_WIDER, MOST_BESIDE = 2.0, 1.0
"""How far a batch may be wider than usual, as a factor, and lie beside it, in standard deviations."""
ENOUGH_ROOM = 1.2e-4
"""Share of the image that a tissue must fill, and purely, for half of its mean to count."""
ATTENUATION_GAIN = 4.0
"""Means differ by a quarter of the window's half from one time to the next."""


class Pyramid(nn.Module):
    """Features of all sizes -> anatomy[batch, channel, row, column]: each size is refined by the one above it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        here = shape.channels(shape.anatomy_size)
        self.sizes = [size for size in shape.sizes if size <= shape.anatomy_size]
        self.across = nn.ModuleList(EqualConv(shape.channels(size), here, 1) for size in self.sizes)
        self.within = nn.ModuleList(EqualConv(here, here, 3) for _ in self.sizes)
        self.last = EqualConv(here, shape.anatomy, 1)
        finer = [size for size in shape.sizes if shape.anatomy_size < size <= shape.places]
        self.finer = nn.ModuleList(Finer(shape, size) for size in finer)
        self.tissues = shape.tissues

    def forward(self, levels: list[Tensor]) -> Tensor:
        """levels[size]: from the image's own size down to the smallest."""
        rising = iter(reversed(levels))
        x = levels[-1]
        for i, (across, within, level) in enumerate(zip(self.across, self.within, rising, strict=False)):
            beside = across(level)
            x = activated(within((doubled(x) + beside) / GAIN if i else beside))
        found: Tensor = self.last(x)
        if not self.tissues:
            return found
        scores, texture = parted(found, self.tissues)
        for finer, level in zip(self.finer, rising, strict=False):
            x, scores = finer(x, scores, level)
        shares = (SHARPNESS * scores.float()).softmax(dim=1)
        if not texture.shape[1]:
            return shares
        return torch.cat([shares, F.interpolate(texture.float(), size=shares.shape[2:], mode="nearest")], dim=1)


class Finer(nn.Module):
    """Features and scores of tissues, twice as fine: the scores are those of the coarser ones and what is seen here."""

    def __init__(self, shape: Shape, size: int) -> None:
        super().__init__()
        here = shape.channels(size)
        self.fewer = EqualConv(shape.channels(size // 2), here, 1)
        self.across = EqualConv(here, here, 1)
        self.within = EqualConv(here, here, 3)
        self.last = EqualConv(here, shape.tissues, 1)

    def forward(self, x: Tensor, scores: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """x[batch, channel, row, column], scores[batch, tissue, row, column]; level: twice as many rows and columns."""
        x = activated(self.within((doubled(self.fewer(x)) + self.across(level)) / GAIN))
        return x, doubled(scores) + self.last(x)


class Unit(nn.BatchNorm1d):
    """Zero mean and unit variance over all that was seen of late (Ioffe 2017, "Batch Renormalization").

    Over the batch at hand alone, eight images move by a third of a deviation by chance, and latents that jump so far
    cannot say a level in HU. The gradient is that of a batch: no drift of all latents is ever asked for.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count, affine=False, momentum=0.05)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        super().forward(x.detach())
        assert self.running_mean is not None
        assert self.running_var is not None
        usual = torch.sqrt(self.running_var + self.eps)
        mean, spread = x.mean(dim=0), torch.sqrt(x.var(dim=0, unbiased=False) + self.eps)
        wider = (spread / usual).clamp(1.0 / MOST_WIDER, MOST_WIDER).detach()
        beside = ((mean - self.running_mean) / usual).clamp(-MOST_BESIDE, MOST_BESIDE).detach()
        return (x - mean) / spread * wider + beside


class Encoder(nn.Module):
    """image[batch, 1, row, column] -> latents[batch, block, latent], and anatomy where the generator takes any.

    Where the anatomy holds tissues, w is a code of nothing but each tissue's mean attenuation: what the trunk sees
    besides goes with the place, and would drown what contrast does.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        here = shape.channels(shape.base)
        self.trunk = Trunk(shape)
        self.pyramid = Pyramid(shape) if shape.anatomy else None
        self.last = None if shape.tissues else EqualConv(here, here, 3)
        self.hidden = EqualLinear(2 * shape.tissues or here * shape.base**2, 4 * here)
        self.common = EqualLinear(4 * here, shape.latent)
        self.unit = Unit(shape.latent)

    def forward(self, image: Tensor) -> Tensor:
        return self.code(image)[0]

    def code(self, image: Tensor) -> Code:
        """Both of one image."""
        features, anatomy = self.look(image)
        return self.latents(image, features, anatomy), anatomy

    def look(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """The trunk's last features, and anatomy."""
        levels = self.trunk.levels(image)
        return levels[-1], None if self.pyramid is None else self.pyramid(levels)

    def latents(self, image: Tensor, features: Tensor, anatomy: Tensor | None) -> Tensor:
        """The latents of what `look` saw, or of the same with a better anatomy."""
        if self.last is not None:
            seen = activated(self.last(features)).flatten(1)
        else:
            assert anatomy is not None
            seen = attenuation(image, anatomy[:, : self.shape.tissues].detach())
        w: Tensor = self.unit(self.common(activated(self.hidden(seen))).float())
        return w[:, None].expand(-1, self.shape.blocks, -1)

    def anatomy(self, image: Tensor) -> Tensor | None:
        """Where things lie."""
        return None if self.pyramid is None else self.pyramid(self.trunk.levels(image))


def attenuation(image: Tensor, shares: Tensor) -> Tensor:
    """[batch, 2 tissue]: mean of image[batch, 1, row, column] within each of shares[batch, tissue, row, column], and
    how much there is of it: 0 to 1; a tissue that is not there has the mean 0.

    Shares count squared: what a pixel holds a little of says little about it, and small vessels have many such.
    """
    shares = shares.square()
    coarse = F.adaptive_avg_pool2d(image, (shares.shape[2], shares.shape[3])).float().flatten(1)
    room = shares.mean(dim=(2, 3))
    total = (shares.flatten(2) @ coarse[:, :, None])[:, :, 0] / coarse.shape[1]
    return torch.cat([ATTENUATION_GAIN * total / (room + ENOUGH_ROOM), room / (room + ENOUGH_ROOM)], dim=1)


class CounterfactualNetwork(nn.Module):
    """Generator, encoder, the cloud of known latents and the directions in it: all that a bundle holds.

    directions[region, direction, latent]: one standard deviation of a region's latents along each direction.
    """

    mean: Tensor
    spread: Tensor
    directions: Tensor

    def __init__(self, shape: Shape, directions: int, regions: int = 1) -> None:
        super().__init__()
        self.generator = Generator(shape)
        self.encoder = Encoder(shape)
        self.register_buffer("mean", torch.zeros(shape.latent))
        self.register_buffer("spread", torch.eye(shape.latent))
        self.register_buffer("directions", torch.zeros(regions, directions, shape.latent))

    def forward(self, image: Tensor) -> Tensor:
        """The reconstruction of image[batch, 1, row, column]."""
        latents, anatomy = self.encoder.code(image)
        return self.generator.synthesis(latents, anatomy=anatomy)  # type: ignore[no-any-return]


def counterfactual_network(options: Mapping[str, Any]) -> CounterfactualNetwork:
    """From a model card's options. Raises KeyError, TypeError or ValueError when they do not describe one."""
    return CounterfactualNetwork(Shape.from_options(options), len(options["directions"]), len(options["regions"]))
