"""Random change of hounsfield batches: what may differ between two scanners, patients and archives, but not the phase.

Everything works on a batch at the network's pixel size, in HU, before windowing. The strengths are wider than real
scanners vary (domain randomisation, Tobin 2017; SynthSeg, Billot 2023): iodine must be found in spite of it.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from inference.preprocessing import AIR_HU, HIGHEST_HU, LOWEST_HU


@dataclass(frozen=True)
class Strength:
    """How far a batch is changed; lengths in pixels of the network's grid, intensities in HU."""

    rotation: float = 0.30
    """Radians, either way."""
    scale: tuple[float, float] = (0.82, 1.25)
    shift: float = 14.0
    bend: float = 4.0
    """Largest displacement of the elastic deformation."""
    flip: float = 0.10
    """Probability of a left-right flip: a header may lie about the patient's side."""
    gain: float = 0.05
    offset: float = 6.0
    bias: float = 10.0
    """Largest slow change over the field (scatter, beam hardening)."""
    noise: float = 32.0
    """Largest standard deviation."""
    blur: float = 1.1
    sharpen: float = 1.0
    rare: float = 0.12
    """Probability of each rare event: cut field of view, clipped range, blocks cut out, eight bits."""


class Augmentation:
    """augment(hounsfield[slice, row, column]) -> the same, changed at random, cropped to `size`."""

    def __init__(self, size: int, seed: int, strength: Strength | None = None) -> None:
        self.size = size
        self.strength = strength or Strength()
        self.generator = Generator().manual_seed(seed)

    def __call__(self, hounsfield: Tensor) -> Tensor:
        image = self._moved(hounsfield[:, None].float())
        image = self._resharpened(self._retoned(image))
        image = self._noisy(image)
        for change in (self._cut_field, self._clipped, self._cut_out, self._eight_bits):
            chosen = self._chance(len(image), self.strength.rare)
            image = torch.where(chosen, change(image), image) if bool(chosen.any()) else image
        return image.clamp(LOWEST_HU, HIGHEST_HU)[:, 0]

    def _uniform(self, count: int, low: float, high: float) -> Tensor:
        return torch.rand((count, 1, 1, 1), generator=self.generator) * (high - low) + low

    def _chance(self, count: int, probability: float) -> Tensor:
        return torch.rand((count, 1, 1, 1), generator=self.generator) < probability

    def _smooth(self, count: int, channels: int, cells: int, size: int) -> Tensor:
        """Random fields of about unit amplitude that change slowly over the image."""
        coarse = torch.randn((count, channels, cells, cells), generator=self.generator)
        return F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)

    def _moved(self, image: Tensor) -> Tensor:
        """Rotated, scaled, shifted, bent and sometimes flipped; air comes in from outside."""
        # grid_sample pads with zero, so air has to be zero while it works.
        return F.grid_sample(image - AIR_HU, self._movement(*image.shape[::3]), align_corners=False) + AIR_HU

    def _movement(self, count: int, source: int) -> Tensor:
        """Where each pixel comes from in pictures of `source` pixels: [slice, row, column, (x, y)] in -1..1."""
        s = self.strength
        angle = self._uniform(count, -s.rotation, s.rotation)[:, 0, 0, 0]
        scale = self._uniform(count, math.log(s.scale[0]), math.log(s.scale[1]))[:, 0, 0, 0].exp()
        aspect = self._uniform(count, -0.08, 0.08)[:, 0, 0, 0].exp()
        flip = 1.0 - 2.0 * self._chance(count, s.flip)[:, 0, 0, 0].float()
        ratio = self.size / source / scale
        cosine, sine = torch.cos(angle), torch.sin(angle)
        shift = self._uniform(2 * count, -s.shift, s.shift).view(count, 2) * 2.0 / source
        rows = [
            torch.stack([flip * cosine * ratio * aspect, -sine * ratio, shift[:, 0]], dim=1),
            torch.stack([flip * sine * ratio * aspect, cosine * ratio, shift[:, 1]], dim=1),
        ]
        grid = F.affine_grid(torch.stack(rows, dim=1), [count, 1, self.size, self.size], align_corners=False)
        return grid + self._smooth(count, 2, 6, self.size).permute(0, 2, 3, 1) * (s.bend / 2.0 * 2.0 / source)

    def _retoned(self, image: Tensor) -> Tensor:
        """Gain and offset of the scale, and a slow bias field; air stays about air."""
        count = len(image)
        gain = 1.0 + self._uniform(count, -self.strength.gain, self.strength.gain)
        offset = self._uniform(count, -self.strength.offset, self.strength.offset)
        bias = self._smooth(count, 1, 4, image.shape[-1]) * self._uniform(count, 0.0, self.strength.bias / 2.0)
        body = ((image + 400.0) / 300.0).clamp(0.0, 1.0)
        return image * gain + body * (offset + bias)

    def _resharpened(self, image: Tensor) -> Tensor:
        """Smoother or sharper, as another kernel would make it."""
        kernel = torch.exp(-0.5 * (torch.arange(-2, 3).float() / max(self.strength.blur, 0.1)) ** 2)
        kernel = kernel / kernel.sum()
        smooth = F.conv2d(F.pad(image, (2, 2, 2, 2), mode="replicate"), (kernel[:, None] * kernel[None])[None, None])
        amount = self._uniform(len(image), -self.strength.sharpen, 1.0)
        return image + amount * (smooth - image) * self._chance(len(image), 0.6)

    def _noisy(self, image: Tensor) -> Tensor:
        """White or streaky noise, stronger in the middle of the body than at its border."""
        count = len(image)
        noise = torch.randn(image.shape, generator=self.generator)
        streaky = F.avg_pool2d(F.pad(noise, (4, 4, 0, 0), mode="circular"), (1, 9), 1) * 3.0
        noise = torch.where(self._chance(count, 0.3), streaky, noise)
        level = self._uniform(count, 0.0, 1.0) ** 2 * self.strength.noise
        return image + noise * level

    def _cut_field(self, image: Tensor) -> Tensor:
        """Nothing outside a circle: a reconstruction's field of view."""
        count, size = len(image), image.shape[-1]
        axis = torch.arange(size).float() - (size - 1) / 2.0
        centre = self._uniform(2 * count, -0.1 * size, 0.1 * size).view(count, 2, 1, 1)
        distance = ((axis[None, :, None] - centre[:, 0]) ** 2 + (axis[None, None, :] - centre[:, 1]) ** 2)[:, None]
        return torch.where(distance > self._uniform(count, 0.26 * size, 0.5 * size) ** 2, AIR_HU, image)

    def _clipped(self, image: Tensor) -> Tensor:
        """A stored range that ends early, at either end."""
        count = len(image)
        high = torch.where(self._chance(count, 0.5), HIGHEST_HU, self._uniform(count, 250.0, 1200.0))
        low = torch.where(self._chance(count, 0.5), LOWEST_HU, self._uniform(count, -1000.0, -150.0))
        return torch.minimum(torch.maximum(image, low), high)

    def _cut_out(self, image: Tensor) -> Tensor:
        """Two blocks replaced by one value each (cutout, DeVries 2017)."""
        count, size = len(image), image.shape[-1]
        axis = torch.arange(size).float()
        for _ in range(2):
            top, left = self._uniform(2 * count, 0.0, 0.9 * size).view(2, count, 1, 1)
            height, width = self._uniform(2 * count, 0.05 * size, 0.3 * size).view(2, count, 1, 1)
            rows = (axis[None, :, None] >= top) & (axis[None, :, None] < top + height)
            columns = (axis[None, None, :] >= left) & (axis[None, None, :] < left + width)
            image = torch.where((rows & columns)[:, None], self._uniform(count, -1000.0, 400.0), image)
        return image

    def _eight_bits(self, image: Tensor) -> Tensor:
        """256 grey values over a soft-tissue window, as a secondary archive keeps them."""
        count = len(image)
        low, high = self._uniform(count, -250.0, -100.0), self._uniform(count, 220.0, 450.0)
        step = (high - low) / 255.0
        return low + step * ((torch.minimum(torch.maximum(image, low), high) - low) / step).round()
