"""StyleGAN2 for one-channel slices: mapping network, skip generator, residual discriminator (Karras 2020).

Three deviations. For small and few images the input of the synthesis may be an affine function of the latent instead
of a constant (`affine_input`), which gives the latent a hold on where things lie. Sizes are any number times a power of
two, so that 80 or 160 pixels lie exactly on the grid of the network that is explained. And features of one size may be
given from outside (`anatomy`): where things lie then comes from an image, and the latent says what they look like (as
the spatial codes of Kim 2021, "StyleMapGAN", and Yao 2022, "Feature-Style Encoder"; each channel is filled with
features that are a function of the latent, as regions are in Zhu 2020, "SEAN").
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from inference.networks.stylegan2_blocks import (
    EqualConv,
    EqualLinear,
    HalvingResidual,
    StyledConv,
    ToImage,
    activated,
    doubled,
    minibatch_deviation,
    parted,
    pooled,
)

MAPPING_SPEED = 0.1
"""Learning rate of the mapping network relative to the rest; Karras 2019 has 0.01, for networks twice as deep and runs
a hundred times as long."""


@dataclass(frozen=True)
class Shape:
    """Sizes and widths of generator, discriminator and encoder. Raises ValueError when the sizes do not fit."""

    size: int = 128
    """Rows and columns of the image in pixels."""
    base: int = 4
    """Rows and columns of the smallest layer; `size` is this times a power of two."""
    latent: int = 32
    """Length of z and of w."""
    width: int = 2048
    """Channels at a layer are width / size, …"""
    most: int = 64
    """… at most so many."""
    mapping: int = 4
    """Layers of the mapping network."""
    affine_input: bool = True
    """The smallest layer is an affine function of w; False: a learned constant, as published."""
    anatomy: int = 0
    """Channels of the features that tell where things lie; 0 for none, as published."""
    tissues: int = 0
    """So many of them are shares of each pixel, which sum to 1: which tissue it is."""
    anatomy_size: int = 64
    """Their rows and columns: the size of one of the blocks."""
    tissue_size: int = 0
    """Rows and columns of the tissues where these are to be finer, as for vessels of two or three pixels: the size of
    one of the blocks; 0 for those of the anatomy."""

    def __post_init__(self) -> None:
        if self.sizes[-1] != self.size:
            raise ValueError(f"size {self.size} is not {self.base} times a power of two")
        if self.anatomy and not {self.anatomy_size, self.places} <= set(self.sizes):
            raise ValueError(f"no block has the anatomy's size {self.anatomy_size} or {self.places}")
        if self.tissues > self.anatomy:
            raise ValueError(f"{self.tissues} tissues do not fit into {self.anatomy} channels of anatomy")
        if self.places < self.anatomy_size or (self.places > self.anatomy_size and not self.tissues):
            raise ValueError("nothing but tissues can be finer than the anatomy, and they cannot be coarser")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "Shape":
        """The shape that a model card names. Raises KeyError or TypeError when the card does not.

        Cards of generators that were made before one of the fields was are without it, and have its default.
        """
        return cls(**options["shape"])

    def as_options(self) -> dict[str, Any]:
        """What a model card keeps of it."""
        return asdict(self)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of each block, from the smallest on."""
        found = [self.base]
        while found[-1] < self.size:
            found.append(2 * found[-1])
        return tuple(found)

    @property
    def places(self) -> int:
        """Rows and columns of the anatomy as it is handed over: what is coarser than the tissues is repeated."""
        return self.tissue_size or self.anatomy_size

    @property
    def blocks(self) -> int:
        """Number of blocks; a latent in W+ has one w for each."""
        return len(self.sizes)

    def channels(self, size: int) -> int:
        """Channels of the layers of that size."""
        return max(1, min(self.most, self.width // size))

    def given(self, size: int) -> int:
        """Channels of anatomy that the block of that size is given: all, or the tissues where only they are finer."""
        if not self.anatomy or not self.anatomy_size <= size <= self.places:
            return 0
        return self.anatomy if size == self.anatomy_size else self.tissues


class MappingNetwork(nn.Module):
    """z[batch, latent] ~ N(0, 1) -> w[batch, latent]; keeps a running mean of w, the centre of truncation."""

    centre: Tensor

    def __init__(self, latent: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EqualLinear(latent, latent, speed=MAPPING_SPEED) for _ in range(layers))
        self.register_buffer("centre", torch.zeros(latent))

    def forward(self, z: Tensor) -> Tensor:
        x = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.layers:
            x = activated(layer(x))
        return x

    @torch.no_grad()
    def follow(self, w: Tensor, keep: float = 0.995) -> None:
        """Move the running mean towards that of w[batch, latent]."""
        self.centre.copy_(w.detach().float().mean(dim=0).lerp(self.centre, keep))


class Filling(nn.Module):
    """Anatomy -> features: every channel is filled with a vector that the latent decides on."""

    def __init__(self, given: int, outputs: int, latent: int) -> None:
        super().__init__()
        self.vectors = EqualLinear(latent, given * outputs)
        self.given = given

    def forward(self, anatomy: Tensor, latent: Tensor) -> Tensor:
        """anatomy[batch, given or more, row, column], latent[batch, latent] -> [batch, outputs, row, column]."""
        vectors = self.vectors(latent).view(len(latent), self.given, -1)
        given, _ = parted(anatomy, self.given)
        flat = vectors.transpose(1, 2) @ given.to(vectors.dtype).flatten(2)
        return flat.unflatten(2, anatomy.shape[2:])  # type: ignore[no-any-return]


class Block(nn.Module):
    """Two styled convolutions and the image of this size."""

    def __init__(self, shape: Shape, size: int) -> None:
        super().__init__()
        smaller, here = shape.channels(max(size // 2, shape.base)), shape.channels(size)
        first = size == shape.base
        self.conv1 = None if first else StyledConv(smaller, here, shape.latent, double=True)
        self.conv2 = StyledConv(here, here, shape.latent, double=False)
        self.image = ToImage(here, shape.latent)
        given = shape.given(size)
        self.given = Filling(given, here, shape.latent) if given else None
        fixed = torch.randn(2, size, size, generator=torch.Generator().manual_seed(size))
        self.register_buffer("fixed_noise", fixed, persistent=False)

    def forward(
        self, x: Tensor, latent: Tensor, noises: tuple[Tensor, Tensor] | None, anatomy: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Features and image of this size."""
        first, second = noises if noises is not None else (None, None)
        if self.conv1 is not None:
            x = self.conv1(x, latent, first)
        if self.given is not None and anatomy is not None:
            x = x + self.given(pooled(anatomy, x.shape[2]), latent)
        x = self.conv2(x, latent, second)
        return x, self.image(x, latent)


class Synthesis(nn.Module):
    """Latents in W+ -> images; the images of all sizes are summed (skip generator)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        inner = shape.channels(shape.base) * shape.base**2
        self.input: nn.Module | None = EqualLinear(shape.latent, inner) if shape.affine_input else None
        self.constant = None if shape.affine_input else nn.Parameter(torch.randn(inner))
        self.blocks = nn.ModuleList(Block(shape, size) for size in shape.sizes)

    def forward(
        self,
        latents: Tensor,
        generator: torch.Generator | None = None,
        noise: str = "fixed",
        anatomy: Tensor | None = None,
    ) -> Tensor:
        """latents[batch, block, latent] -> image[batch, 1, row, column], about -1 to 1.

        `noise`: "fixed" (the same in every call), "random" (drawn from `generator`) or "none".
        `anatomy`[batch, channel, row, column], of `Shape.places`: where things lie; None for nothing said of it.
        """
        x = self._first(latents[:, 0])
        image: Tensor | None = None
        for index, module in enumerate(self.blocks):
            block = cast(Block, module)
            x, layer = block(x, latents[:, index], _noises(block, len(latents), noise, generator), anatomy)
            image = layer if image is None else doubled(image) + layer
        assert image is not None
        return image.float()

    def _first(self, latent: Tensor) -> Tensor:
        flat = self.input(latent) if self.input is not None else cast(Tensor, self.constant).expand(len(latent), -1)
        found: Tensor = flat.reshape(len(latent), -1, self.shape.base, self.shape.base)
        return found


def _noises(block: Block, count: int, kind: str, generator: torch.Generator | None) -> tuple[Tensor, Tensor] | None:
    fixed = cast(Tensor, block.fixed_noise)
    if kind == "none":
        return None
    if kind == "fixed":
        return fixed[0][None, None], fixed[1][None, None]
    drawn = torch.randn((2, count, 1, *fixed.shape[1:]), generator=generator).to(fixed.device)
    return drawn[0], drawn[1]


class Generator(nn.Module):
    """Mapping and synthesis."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.mapping = MappingNetwork(shape.latent, shape.mapping)
        self.synthesis = Synthesis(shape)

    def forward(self, z: Tensor, anatomy: Tensor | None = None) -> Tensor:
        """z[batch, latent] -> image[batch, 1, row, column] with the fixed noise."""
        return self.synthesis(self.everywhere(self.mapping(z)), anatomy=anatomy)  # type: ignore[no-any-return]

    def everywhere(self, w: Tensor) -> Tensor:
        """w[batch, latent] -> latents[batch, block, latent]: the same w in every block."""
        return w[:, None].expand(-1, self.shape.blocks, -1)

    def mixed(self, first: Tensor, second: Tensor, crossover: Tensor) -> Tensor:
        """Style mixing: latents of `first` up to block `crossover`[batch], of `second` from there on."""
        block = torch.arange(self.shape.blocks, device=first.device)
        early = (block[None, :] < crossover[:, None])[:, :, None]
        return torch.where(early, self.everywhere(first), self.everywhere(second))


class Discriminator(nn.Module):
    """image[batch, 1, row, column] -> logit[batch]: positive for real."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.trunk = Trunk(shape)
        here = shape.channels(shape.base)
        self.last = EqualConv(here + 1, here, 3)
        self.hidden = EqualLinear(here * shape.base**2, here)
        self.answer = EqualLinear(here, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = activated(self.last(minibatch_deviation(self.trunk(image))))
        return self.answer(activated(self.hidden(x.flatten(1))))[:, 0].float()  # type: ignore[no-any-return]


class Trunk(nn.Module):
    """image[batch, 1, row, column] -> features[batch, channel, base, base]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.first = EqualConv(1, shape.channels(shape.size), 1)
        self.blocks = nn.Sequential(
            *(HalvingResidual(shape.channels(s), shape.channels(s // 2)) for s in reversed(shape.sizes[1:]))
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.levels(image)[-1]

    def levels(self, image: Tensor) -> list[Tensor]:
        """Features of all sizes, the image's own first."""
        found = [activated(self.first(image))]
        for block in self.blocks:
            found.append(block(found[-1]))
        return found
