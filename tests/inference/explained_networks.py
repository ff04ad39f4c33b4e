"""Small networks that say ReLU in every way, and a reference for their guided gradients."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

torch.set_num_threads(1)  # networks this small only lose by more

Activation = Callable[[Tensor], Tensor]


class ReferenceGuidedRelu(torch.autograd.Function):
    """The guided rule written as it is printed: r_in = r_out * 1[a > 0] * 1[r_out > 0]."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.save_for_backward(tensor)
        return torch.where(tensor > 0, tensor, torch.zeros_like(tensor))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (tensor,) = ctx.saved_tensors
        return gradient * (tensor > 0) * (gradient > 0)


class Plain(nn.Module):
    """Two convolutions, pooling, one linear head; the activation is handed in."""

    def __init__(self, activation: Activation, classes: int = 3, channels: int = 2) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Identity()
        self.head = nn.Linear(8, classes)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.first(x))
        x = self.last(self.activation(self.norm(self.second(x))))
        return self.head(x.mean((2, 3)))


class PreActivation(nn.Module):
    """A pre-activation residual network whose one in-place ReLU is used four times: the shortcut sees what it left."""

    def __init__(self, activation: Activation, width: int = 6) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, width, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(3))
        self.head = nn.Linear(width, 3)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for conv in self.convs:
            x = self.activation(x)  # both the branch and the shortcut start here, as an in-place ReLU makes them
            x = x + conv(x)
        return self.head(self.activation(x).mean((2, 3)))


class Volumetric(nn.Module):
    """A 3-D residual network."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, 4, 3, padding=1)
        self.block = nn.Conv3d(4, 4, 3, padding=1)
        self.deep = nn.Conv3d(4, 6, 3, stride=2, padding=1)
        self.head = nn.Linear(6, 2)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.stem(x))
        x = self.activation(x + self.block(x))
        return self.head(self.activation(self.deep(x)).mean((2, 3, 4)))


class Split(nn.Module):
    """ReLU in place on a view of a tensor that is used as a whole afterwards."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if isinstance(self.activation, nn.ReLU) and self.activation.inplace:
            self.activation(x[:, :3])
        else:
            x = torch.cat([self.activation(x[:, :3]), x[:, 3:]], 1)
        return self.head(self.second(x).mean((2, 3)))


def gated(x: Tensor) -> Tensor:
    """A ReLU beside a sigmoid gate."""
    return functional.relu(x) * torch.sigmoid(x)


SPELLINGS: dict[str, Activation] = {
    "functional.relu": functional.relu,
    "functional.relu in place": lambda x: functional.relu(x, inplace=True),
    "functional.relu in place by position": lambda x: functional.relu(x, True),
    "functional.relu_": functional.relu_,
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": lambda x: x.relu_(),
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU in place": nn.ReLU(inplace=True),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "clamp_": lambda x: x.clamp_(0),
    "by keyword": lambda x: torch.relu(input=x),
}


def trained(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and running statistics, in double precision, left in training mode as a caller might."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (0.5 if weight.ndim > 1 else 0.2))
        for name, buffer in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.3)
    return network.double().train()


def images(batch: int = 3, channels: int = 2, *size: int, seed: int = 1) -> Tensor:
    """input[batch, channel, *size] in double precision."""
    return torch.randn(batch, channels, *(size or (12, 10)), generator=torch.Generator().manual_seed(seed)).double()


def reference_guided(network: nn.Module, x: Tensor, target: int) -> Tensor:
    """max over channels of |guided gradient|, from a copy whose activation is the printed rule."""
    reference = copy.deepcopy(network).eval()
    delattr(reference, "activation")
    reference.activation = ReferenceGuidedRelu.apply
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(reference(leaf)[:, target].sum(), leaf)
    return gradient.abs().amax(1)
