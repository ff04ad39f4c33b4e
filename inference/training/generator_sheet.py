"""Sample sheets: what a generator makes, to be looked at while it learns."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from inference.networks.inverter import Encoder
from inference.networks.stylegan2 import Generator

GAP = 1
"""Rows and columns of black between pictures."""


def tiled(images: Tensor, columns: int, zoom: int = 1) -> NDArray[np.uint8]:
    """grey[row, column] of images[count, 1, row, column] in -1..1, row by row."""
    grey = ((images[:, 0].clamp(-1, 1) + 1) * 127.5).byte().cpu().numpy()
    size = grey.shape[1] + GAP
    rows = -(-len(grey) // columns)
    sheet = np.zeros((rows * size, columns * size), np.uint8)
    for i, image in enumerate(grey):
        top, left = i // columns * size, i % columns * size
        sheet[top : top + size - GAP, left : left + size - GAP] = image
    return sheet.repeat(zoom, axis=0).repeat(zoom, axis=1)


@torch.no_grad()
def write_samples(
    path: Path, generator: Generator, encoder: Encoder, images: Tensor, seed: int = 0, columns: int = 8
) -> None:
    """Images of random latents as a PNG, on the anatomy of images[count, 1, row, column] where any is taken."""
    device = next(generator.parameters()).device
    z = torch.randn((len(images), generator.shape.latent), generator=torch.Generator().manual_seed(seed)).to(device)
    _write(path, tiled(generator(z, encoder.anatomy(images.to(device))), columns, zoom=2))


@torch.no_grad()
def write_reconstructions(path: Path, generator: Generator, encoder: Encoder, images: Tensor, columns: int = 8) -> None:
    """images[count, 1, row, column] as a PNG, and below each row of them what becomes of it."""
    device = next(generator.parameters()).device
    latents, anatomy = encoder.code(images.to(device))
    again = generator.synthesis(latents, anatomy=anatomy).cpu()
    starts = range(0, len(images), columns)
    pairs = [part[start : start + columns] for start in starts for part in (images, again)]
    _write(path, tiled(torch.cat(pairs), columns, zoom=2))


def _write(path: Path, sheet: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)
