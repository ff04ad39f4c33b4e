"""R2U-Net (Alom et al., 2018): a U-Net whose blocks are recurrent and residual.

    layer            resolution       channels at full width
    encoder.0 … 4    1, 1/2 … 1/16    64, 128, 256, 512, 1024
    ups.0 … 3        1/8 … 1          512, 256, 128, 64: nearest neighbour x 2, then a convolution
    decoder.0 … 3    1/8 … 1          512, 256, 128, 64
    head             1                logits

Trained values at full width for 3 channels and one class: 39,091,393, as published for t = 2; every convolution has a
bias and the unrolled steps of a recurrent layer share one set of weights and one normalisation. The paper's figures
leave open whether step 0 sees x or x + x; here it sees x, as the released code does.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.networks.blocks import conv_norm_relu, encoded, padded, scaled, start_from_scratch

CHANNELS = (64, 128, 256, 512, 1024)


class Recurrent(nn.Module):
    """x1 = w(x), then `steps` times x1 = w(x + x1): one convolution w, applied again and again (Liang and Hu 2015)."""

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.again = conv_norm_relu(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        state = self.again(x)
        for _ in range(self.steps):
            state = self.again(x + state)
        return state  # type: ignore[no-any-return]


class RecurrentResidual(nn.Module):
    """A 1 x 1 convolution to the block's width, and two recurrent layers around which it is added."""

    def __init__(self, inputs: int, outputs: int, steps: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(inputs, outputs, 1)
        self.recurrent = nn.Sequential(Recurrent(outputs, steps), Recurrent(outputs, steps))

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x)
        return x + self.recurrent(x)  # type: ignore[no-any-return]


class R2UNet(nn.Module):
    """input[slice, channel, row, column] in -1..1 -> logits[slice, class, row, column]; any rows and columns."""

    multiple = 16

    def __init__(self, channels: int = 3, classes: int = 1, width: int = 64, steps: int = 2) -> None:
        super().__init__()
        widths = [scaled(full, width) for full in CHANNELS]
        self.encoder = nn.ModuleList(
            RecurrentResidual(inputs, outputs, steps)
            for inputs, outputs in zip([channels, *widths], widths, strict=False)
        )
        down = widths[::-1]
        self.ups = nn.ModuleList(conv_norm_relu(a, b) for a, b in pairwise(down))
        self.decoder = nn.ModuleList(RecurrentResidual(2 * b, b, steps) for b in down[1:])
        self.head = nn.Conv2d(widths[0], classes, 1)
        start_from_scratch(self)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[-2:]
        skips = encoded(self.encoder, padded(x, self.multiple))
        x = skips[-1]
        for up, stage, skip in zip(self.ups, self.decoder, skips[-2::-1], strict=True):
            x = stage(torch.cat([skip, up(F.interpolate(x, scale_factor=2, mode="nearest"))], 1))
        return self.head(x)[..., :rows, :columns]  # type: ignore[no-any-return]
