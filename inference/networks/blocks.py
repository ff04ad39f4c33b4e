"""What the segmentation networks share: padding to a size that can be halved, channel attention, and first weights."""

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

FEWEST_SQUEEZED = 4
"""As at full width: a single one starts dead, behind its ReLU, as often as not."""


def scaled(full: int, width: int) -> int:
    """Channels of a layer that has `full` of them at the published width of 64; at least one."""
    return max(1, full * width // 64)


def padded(x: Tensor, multiple: int) -> Tensor:
    """x[slice, channel, row, column] made up at the bottom and on the right, by its border, to a multiple."""
    rows, columns = x.shape[-2:]
    return F.pad(x, (0, -columns % multiple, 0, -rows % multiple), mode="replicate")


def conv3(inputs: int, outputs: int, *, bias: bool = True, dilation: int = 1) -> nn.Conv2d:
    """A 3 x 3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=bias)


def conv_norm_relu(inputs: int, outputs: int, *, bias: bool = True) -> nn.Sequential:
    """3 x 3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(conv3(inputs, outputs, bias=bias), nn.BatchNorm2d(outputs), nn.ReLU())


def plain_convs(inputs: int, outputs: int, count: int) -> nn.Sequential:
    """`count` 3 x 3 convolutions, each with a ReLU and without normalisation, as in VGG (Simonyan 2015)."""
    layers: list[nn.Module] = []
    for i in range(count):
        layers += [conv3(inputs if i == 0 else outputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class ChannelAttention(nn.Module):
    """Squeeze and excitation (Hu 2018): each channel times a weight in 0..1 that all channels' means decide."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inner = max(FEWEST_SQUEEZED, channels // reduction)
        self.squeeze, self.excite = nn.Linear(channels, inner), nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.excite(self.squeeze(x.mean(dim=(2, 3))).relu()).sigmoid()
        return x * weights[:, :, None, None]  # type: ignore[no-any-return]


def encoded(stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """What each stage makes of the one before it, halved by the largest of 2 x 2; the first one sees x itself."""
    seen: list[Tensor] = []
    for stage in stages:
        seen.append(stage(F.max_pool2d(seen[-1], 2) if seen else x))
    return seen


def start_from_scratch(network: nn.Module) -> None:
    """He's first weights (He 2015) for every convolution: a VGG without normalisation learns nothing from others."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
