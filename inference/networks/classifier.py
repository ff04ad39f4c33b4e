"""The phase classifier: a small residual network over whole slices.

Global average pooling and one linear head, so that CAM (Zhou 2016) is exact and equals Grad-CAM at the last layer up
to scale. `half` is the block at half of the input's resolution, the default layer of the saliency activation map;
`last` is the layer that is pooled.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

PHASES = 4


class SliceOutputs(NamedTuple):
    """What the network says of each slice of a batch."""

    logits: Tensor
    """[slice, phase], in the order of inference.phases.Phase."""
    timing: Tensor
    """[slice, 2]: mean and log of the standard deviation of ln(seconds since injection)."""
    scope: Tensor
    """[slice]: logit of being a slice of an adult's abdomen or thorax."""


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He 2016, basic block)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        return self.relu(inner + self.shortcut(x))  # type: ignore[no-any-return]


class PhaseClassifier(nn.Module):
    """input[slice, window, row, column] in -1..1 -> phase logits[slice, phase]; `answer` gives all that it says."""

    def __init__(self, channels: int = 3, width: int = 32, blocks: Sequence[int] = (2, 2, 2, 2)) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(len(blocks))]
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 5, 2, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.stage2 = _stage(width, widths[0], blocks[0], stride=1)
        self.stage4 = _stage(widths[0], widths[1], blocks[1], stride=2)
        self.stage8 = _stage(widths[1], widths[2], blocks[2], stride=2)
        self.stage16 = _stage(widths[2], widths[3], blocks[3], stride=2)
        self.head = nn.Linear(widths[3], PHASES)
        self.timing = nn.Linear(widths[3], 2)
        self.scope = nn.Linear(widths[3], 1)

    def features(self, x: Tensor) -> Tensor:
        """[slice, feature]: the last layer, averaged over all positions."""
        deepest: Tensor = self.stage16(self.stage8(self.stage4(self.stage2(self.stem(x)))))
        return deepest.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))  # type: ignore[no-any-return]

    def answer(self, x: Tensor, dropout: float = 0.0) -> SliceOutputs:
        """Phase, time and scope of each slice; `dropout` of the pooled features is for training only."""
        features = nn.functional.dropout(self.features(x), dropout, self.training)
        return SliceOutputs(self.head(features), self.timing(features), self.scope(features)[:, 0])


def _stage(inputs: int, outputs: int, count: int, stride: int) -> nn.Sequential:
    blocks = [Residual(inputs if i == 0 else outputs, outputs, stride if i == 0 else 1) for i in range(count)]
    return nn.Sequential(*blocks)


def parameter_count(module: nn.Module) -> int:
    """Number of trained values."""
    return sum(parameter.numel() for parameter in module.parameters() if torch.is_floating_point(parameter))
