"""MCGU-Net (Asadi-Aghbolaghi et al., 2020): a U-Net with a dense bottleneck and skips that a ConvLSTM reads.

    layer            resolution          channels at full width
    encoder.0 … 3    1, 1/2, 1/4, 1/8    VGG-16 up to its fourth block: 64, 128, 256, 512
    dense.0, dense.1 1/8                 512 each, the second of both before it
    decoder.0 … 2    1/4 … 1             256, 128, 64
    last             1                   2 for each class
    head             1                   logits

Trained values at full width for 3 channels and one class: 27,891,005, as published, with `bidirectional=False`: the
released code runs one ConvLSTM backwards over (skip, upsampled), with as many hidden as input channels. The paper
describes a bidirectional one, which is the default here: two such ConvLSTM, one each way, their last states joined by
y = tanh(W_f h_f + W_b h_b + b) with 1 x 1 convolutions (Song 2018): 34,258,429 values. Deviations: random first
weights (He 2015) instead of ImageNet's; and with several classes the last convolution before the head has two
channels for each of them.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from inference.networks.blocks import ChannelAttention, conv3, encoded, padded, plain_convs, scaled, start_from_scratch

VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3))
"""(channels, convolutions) of each stage."""
DROPOUT = 0.5


class ConvLSTM(nn.Module):
    """A convolutional LSTM without peepholes (Shi 2015) over a short sequence of maps; its last hidden state."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_input = conv3(channels, 4 * channels)
        self.of_state = conv3(channels, 4 * channels, bias=False)

    def forward(self, sequence: list[Tensor]) -> Tensor:
        hidden, cell = torch.zeros_like(sequence[0]), torch.zeros_like(sequence[0])
        for number, x in enumerate(sequence):
            gates = self.of_input(x)
            if number:
                gates = gates + self.of_state(hidden)
            write, keep, show, new = gates.chunk(4, 1)
            cell = torch.sigmoid(keep) * cell + torch.sigmoid(write) * torch.tanh(new)
            hidden = torch.sigmoid(show) * torch.tanh(cell)
        return hidden


class BidirectionalConvLSTM(nn.Module):
    """Both ways over the sequence, joined by tanh of a sum of 1 x 1 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.forwards, self.backwards = ConvLSTM(channels), ConvLSTM(channels)
        self.of_forwards = nn.Conv2d(channels, channels, 1)
        self.of_backwards = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, sequence: list[Tensor]) -> Tensor:
        there, back = self.forwards(sequence), self.backwards(sequence[::-1])
        return torch.tanh(self.of_forwards(there) + self.of_backwards(back))


class BackwardConvLSTM(ConvLSTM):
    """One ConvLSTM, from the upsampled map to the skip."""

    def forward(self, sequence: list[Tensor]) -> Tensor:
        return super().forward(sequence[::-1])


class DecoderStage(nn.Module):
    """Upsampled by a transposed convolution, read together with the skip, convolved twice; attention after both."""

    def __init__(self, inputs: int, outputs: int, bidirectional: bool) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        self.attention = ChannelAttention(outputs, 16)
        self.norm = nn.BatchNorm2d(outputs)
        self.lstm = BidirectionalConvLSTM(outputs) if bidirectional else BackwardConvLSTM(outputs)
        self.convs = plain_convs(outputs, outputs, 2)
        self.last_attention = ChannelAttention(outputs, 16)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        up = self.norm(self.attention(self.up(x))).relu()
        return self.last_attention(self.convs(self.lstm([skip, up])))  # type: ignore[no-any-return]


class MCGUNet(nn.Module):
    """input[slice, channel, row, column] in -1..1 -> logits[slice, class, row, column]; any rows and columns."""

    multiple = 8

    def __init__(self, channels: int = 3, classes: int = 1, width: int = 64, bidirectional: bool = True) -> None:
        super().__init__()
        widths = [scaled(full, width) for full, _ in VGG16]
        starts = [channels, *widths]
        self.encoder = nn.ModuleList(
            plain_convs(inputs, outputs, count)
            for inputs, outputs, (_, count) in zip(starts, widths, VGG16, strict=False)
        )
        deep = widths[-1]
        self.dense = nn.ModuleList([plain_convs(deep, deep, 2), plain_convs(2 * deep, deep, 2)])
        self.dropout = nn.Dropout(DROPOUT)
        down = widths[::-1]
        self.decoder = nn.ModuleList(DecoderStage(a, b, bidirectional) for a, b in pairwise(down))
        final = 2 * classes
        self.last = nn.Sequential(conv3(widths[0], final), nn.ReLU())
        self.head = nn.Conv2d(final, classes, 1)
        start_from_scratch(self)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[-2:]
        skips = encoded(self.encoder, padded(x, self.multiple))
        x = skips[-1]
        dense = self.dropout(self.dense[0](x))
        x = self.dropout(self.dense[1](torch.cat([dense, x], 1)))
        for stage, skip in zip(self.decoder, skips[-2::-1], strict=True):
            x = stage(x, skip)
        return self.head(self.last(x))[..., :rows, :columns]  # type: ignore[no-any-return]
