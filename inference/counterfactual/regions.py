"""Regions: slices that show the heart, organs of the abdomen, or neither, by the tissues that are read in them.

What contrast does in one of them is a small part of what tells them apart: over all latents a standard deviation, and
what the model goes by, are means over things that are never in one slice. So directions are learned in each region too.
"""

from enum import StrEnum

import torch
from torch import Tensor

from inference.phantom.tissues import Tissue

LEAST_ROOM = 0.004
"""Share of the slice that heart or abdominal organs must take, to say which region it is."""
_HEART = (Tissue.RIGHT_HEART, Tissue.LEFT_HEART, Tissue.MYOCARDIUM)
_ABDOMEN = (Tissue.LIVER, Tissue.SPLEEN, Tissue.CORTEX, Tissue.MEDULLA)


class Region(StrEnum):
    """Where a slice lies, as far as directions are concerned."""

    ALL = "all"
    """Every slice, wherever it lies."""
    THORAX = "thorax"
    ABDOMEN = "abdomen"
    ELSEWHERE = "elsewhere"
    """Neither heart nor abdominal organs: pelvis, neck, lungs above the heart."""


def regions_of(shares: Tensor) -> list[Region]:
    """The region, never ALL, of each of shares[slice, tissue, row, column]."""
    room = shares.mean(dim=(2, 3))
    heart, abdomen = room[:, list(_HEART)].sum(dim=1), room[:, list(_ABDOMEN)].sum(dim=1)
    named = [Region.THORAX if more else Region.ABDOMEN for more in (heart > abdomen).tolist()]
    empty = (torch.maximum(heart, abdomen) < LEAST_ROOM).tolist()
    return [Region.ELSEWHERE if nothing else name for nothing, name in zip(empty, named, strict=True)]
