"""Parts of StyleGAN2 (Karras 2020, "Analyzing and Improving the Image Quality of StyleGAN").

All weights are drawn from N(0, 1) and scaled as they are used (equalised learning rate, Karras 2018), so that one
learning rate suits every layer. Leaky ReLUs are followed by sqrt(2), which keeps unit variance; where it is cheaper the
layer before takes the factor, for a leaky ReLU passes it on.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
GAIN = math.sqrt(2.0)
_TAPS = (1.0, 3.0, 3.0, 1.0)
_SMALLEST = 1e-8


def activated(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 that keeps the variance."""
    return F.leaky_relu(x, SLOPE) * GAIN


class EqualLinear(nn.Module):
    """x[..., inputs] -> [..., outputs]; `speed` is the layer's learning rate relative to the others'."""

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, speed: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / speed)
        self.bias = nn.Parameter(torch.full((outputs,), bias / speed))
        self.gain, self.speed = speed / math.sqrt(inputs), speed

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.gain, self.bias * self.speed)


class EqualConv(nn.Module):
    """x[batch, inputs, row, column] -> [batch, outputs, row, column], halved in size where `halve` is set."""

    def __init__(self, inputs: int, outputs: int, kernel: int, halve: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.gain, self.kernel, self.halve = 1.0 / math.sqrt(inputs * kernel**2), kernel, halve

    def forward(self, x: Tensor, times: float = 1.0) -> Tensor:
        """`times`: a factor for the whole output."""
        weight = self.weight * (self.gain * times)
        bias = None if self.bias is None else self.bias * times
        if self.halve:
            return F.conv2d(blurred(x, self.kernel), weight, bias, stride=2)
        return F.conv2d(x, weight, bias, padding=self.kernel // 2)


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style, and whose outputs are brought back to unit variance.

    Scaling activations before and after one common convolution equals a convolution of its own for each image
    (Karras 2020, section 2.2), and is what a CPU does fast.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, latent: int, demodulate: bool = True) -> None:
        super().__init__()
        self.style = EqualLinear(latent, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.gain, self.padding, self.demodulate = 1.0 / math.sqrt(inputs * kernel**2), kernel // 2, demodulate

    def forward(self, x: Tensor, latent: Tensor, double: bool = False, times: float = 1.0) -> Tensor:
        """x[batch, inputs, row, column], latent[batch, latent] -> [batch, outputs, row, column].

        `double`: twice as many rows and columns; `times`: a factor for a demodulated output.
        """
        style, weight = self.style(latent), self.weight * self.gain
        styled = x * style[:, :, None, None]
        found = F.conv2d(doubled(styled) if double else styled, weight, padding=self.padding)
        if not self.demodulate:
            return found
        power = (style.float() ** 2) @ (weight.float() ** 2).sum(dim=(2, 3)).T
        return found * (times * torch.rsqrt(power + _SMALLEST))[:, :, None, None].to(found.dtype)


class StyledConv(nn.Module):
    """[twice as large,] modulated convolution, noise, bias, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, latent: int, double: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, latent)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.twice = double

    def forward(self, x: Tensor, latent: Tensor, noise: Tensor | None) -> Tensor:
        """`noise`[batch or 1, 1, row, column] of the output's size; None: none is added."""
        found = self.conv(x, latent, self.twice, GAIN)
        if noise is not None:
            found = found + noise.to(found.dtype) * (self.noise_strength * GAIN)
        # In the features' own precision: a float32 bias would make float32 of all that follows.
        return F.leaky_relu(found + (self.bias[:, None, None] * GAIN).to(found.dtype), SLOPE)


class ToImage(nn.Module):
    """Features -> one grey channel: a 1 x 1 modulated convolution without demodulation."""

    def __init__(self, inputs: int, latent: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, 1, 1, latent, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        """[batch, 1, row, column]."""
        return self.conv(x, latent) + self.bias  # type: ignore[no-any-return]


class HalvingResidual(nn.Module):
    """A residual block that halves the size: the discriminator's and the encoder's."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = EqualConv(inputs, inputs, 3)
        self.conv2 = EqualConv(inputs, outputs, 3, halve=True)
        self.shortcut = EqualConv(inputs, outputs, 1, halve=True, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # (GAIN leaky(inner) + shortcut) / GAIN
        inner = F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x, GAIN), SLOPE)), SLOPE)
        return inner + self.shortcut(x, 1.0 / GAIN)  # type: ignore[no-any-return]


def doubled(x: Tensor) -> Tensor:
    """x[batch, channel, row, column] twice as large: the taps 1, 3, 3, 1, which for factor 2 is bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def pooled(x: Tensor, size: int) -> Tensor:
    """The means of x[batch, channel, row, column] over size x size pixels; x itself where it has as many."""
    return x if x.shape[2] == size else F.adaptive_avg_pool2d(x, size)


def parted(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first channels of x[batch, channel, row, column] and the others; two slices would cost more to learn from."""
    first, others = torch.split(x, [count, x.shape[1] - count], dim=1)
    return first, others


def blurred(x: Tensor, kernel: int) -> Tensor:
    """x smoothed with the taps 1, 3, 3, 1 and padded so that a convolution of stride 2 halves its size exactly."""
    taps = torch.tensor(_TAPS, dtype=x.dtype, device=x.device)
    taps = torch.outer(taps, taps) / 64.0
    excess = len(_TAPS) - 2 + kernel - 1
    before, after = (excess + 1) // 2, excess // 2
    padded = F.pad(x, (before, after, before, after))
    return F.conv2d(padded, taps.expand(x.shape[1], 1, -1, -1), groups=x.shape[1])


def minibatch_deviation(x: Tensor, group: int = 4) -> Tensor:
    """x with one more channel: the mean standard deviation of its features over groups of the batch (Karras 2018).

    It shows the discriminator how much a batch varies, so that a generator that varies little is found out.
    """
    count = len(x)
    size = group if count % group == 0 else count
    spread = torch.sqrt(x.view(size, count // size, *x.shape[1:]).float().var(dim=0, unbiased=False) + _SMALLEST)
    mean = spread.mean(dim=(1, 2, 3), keepdim=True).repeat(size, 1, 1, 1)
    return torch.cat([x, mean.to(x.dtype).expand(-1, 1, *x.shape[2:])], dim=1)
