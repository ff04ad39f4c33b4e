"""DoubleU-Net (Jha et al., CBMS 2020): a U-Net whose mask is laid over the image, and a second one that looks again.

    layer            resolution       what it is (channels at full width)
    encoder1.0 … 4   1, 1/2 … 1/16    the convolutions of VGG-19: 64, 128, 256, 512, 512
    aspp1            1/16             atrous spatial pyramid, 64
    decoder1.0 … 3   1/8 … 1          256, 128, 64, 32
    head1            1                logits of the first mask
    encoder2.0 … 3   1 … 1/8          32, 64, 128, 256, of the image under the first mask
    aspp2            1/16             64
    decoder2.0 … 3   1/8 … 1          256, 128, 64, 32, with the skips of both encoders
    head2            1                logits of the second mask

Trained values at full width for 3 channels and one class: 29,288,886, as published. That count fixes what the paper
leaves open: convolutions before a batch normalisation have no bias but for the pyramid's last, the attention's linear
layers have one, and the pyramid's pooled branch has a bias and no normalisation (a batch of one has no statistics
there). Deviations: the VGG starts from random weights (He 2015) instead of ImageNet's, for none ship with this
project; and with several classes the image is laid under the probability of any organ, 1 - softmax(mask 1)[0], which
for one class is sigmoid(mask 1), as published.
"""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.networks.blocks import (
    ChannelAttention,
    conv3,
    conv_norm_relu,
    encoded,
    padded,
    plain_convs,
    scaled,
    start_from_scratch,
)

VGG19 = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""(channels, convolutions) of each stage."""
MASKS = ("first", "second", "both")


class ConvBlock(nn.Sequential):
    """Twice convolution, normalisation, ReLU; then channel attention."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            conv_norm_relu(inputs, outputs, bias=False),
            conv_norm_relu(outputs, outputs, bias=False),
            ChannelAttention(outputs, 8),
        )


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling (Chen 2017): the image's mean, 1 x 1, and 3 x 3 at dilations 6, 12 and 18."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1), nn.ReLU())
        near = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
        far = [
            nn.Sequential(conv3(inputs, outputs, bias=False, dilation=reach), nn.BatchNorm2d(outputs), nn.ReLU())
            for reach in (6, 12, 18)
        ]
        self.branches = nn.ModuleList([near, *far])
        self.joined = nn.Sequential(nn.Conv2d(5 * outputs, outputs, 1), nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        everywhere = self.pooled(x).expand(-1, -1, *x.shape[2:])
        return self.joined(torch.cat([everywhere, *(branch(x) for branch in self.branches)], 1))  # type: ignore[no-any-return]


class DoubleUNet(nn.Module):
    """input[slice, channel, row, column] in -1..1 -> logits[slice, class, row, column] of the mask that is chosen.

    Any number of rows and columns. `mask`: "first", "second" (as published, the better one), or "both", which gives
    the two as a tuple: what training needs, and an explanation of the first (`mask_sum(output=0)`).
    """

    multiple = 16

    def __init__(self, channels: int = 3, classes: int = 1, width: int = 64, mask: str = "second") -> None:
        super().__init__()
        if mask not in MASKS:
            raise ValueError(f"mask is {mask!r}, not one of {MASKS}")
        self.mask = mask
        skips1 = [scaled(full, width) for full, _ in VGG19]
        skips2 = [scaled(full, width) for full in (32, 64, 128, 256)]
        pyramid = scaled(64, width)
        starts = [channels, *skips1]
        self.encoder1 = nn.ModuleList(
            plain_convs(inputs, outputs, count)
            for inputs, outputs, (_, count) in zip(starts, skips1, VGG19, strict=False)
        )
        self.aspp1 = Pyramid(skips1[-1], pyramid)
        self.decoder1 = _decoder(pyramid, skips1[-2::-1], skips2[::-1])
        self.head1 = nn.Conv2d(skips2[0], classes, 1)
        self.encoder2 = nn.ModuleList(
            ConvBlock(inputs, outputs) for inputs, outputs in zip([channels, *skips2], skips2, strict=False)
        )
        self.aspp2 = Pyramid(skips2[-1], pyramid)
        both = [a + b for a, b in zip(skips1[-2::-1], skips2[::-1], strict=True)]
        self.decoder2 = _decoder(pyramid, both, skips2[::-1])
        self.head2 = nn.Conv2d(skips2[0], classes, 1)
        start_from_scratch(self)

    def showing(self, mask: str) -> "DoubleUNet":
        """The same network, the same weights, another mask. Raises ValueError for a mask that it does not have."""
        if mask not in MASKS:
            raise ValueError(f"mask is {mask!r}, not one of {MASKS}")
        twin = copy.copy(self)
        twin.mask = mask
        return twin

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        rows, columns = x.shape[-2:]
        x = padded(x, self.multiple)
        skips1, deepest = _encoded(self.encoder1, x, pool_last=False)
        first = self.head1(_decoded(self.decoder1, self.aspp1(deepest), [skips1]))
        if self.mask == "first":
            return first[..., :rows, :columns]  # type: ignore[no-any-return]
        skips2, deepest = _encoded(self.encoder2, x * foreground(first), pool_last=True)
        second = self.head2(_decoded(self.decoder2, self.aspp2(deepest), [skips1, skips2]))[..., :rows, :columns]
        return (first[..., :rows, :columns], second) if self.mask == "both" else second


def foreground(logits: Tensor) -> Tensor:
    """logits[slice, class, row, column] -> probability of not being background: [slice, 1, row, column]."""
    return logits.sigmoid() if logits.shape[1] == 1 else 1.0 - logits.softmax(1)[:, :1]


def _decoder(inputs: int, skips: Sequence[int], outputs: Sequence[int]) -> nn.ModuleList:
    below = [inputs, *outputs]
    return nn.ModuleList(ConvBlock(b + s, o) for b, s, o in zip(below, skips, outputs, strict=False))


def _encoded(encoder: nn.ModuleList, x: Tensor, *, pool_last: bool) -> tuple[list[Tensor], Tensor]:
    """Skips from the coarsest to the finest, and what lies at 1/16."""
    seen = encoded(encoder, x)
    if pool_last:
        return seen[::-1], F.max_pool2d(seen[-1], 2)
    return seen[-2::-1], seen[-1]


def _decoded(decoder: nn.ModuleList, x: Tensor, skips: Sequence[Sequence[Tensor]]) -> Tensor:
    for number, stage in enumerate(decoder):
        up = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = stage(torch.cat([up, *(skip[number] for skip in skips)], 1))
    return x
