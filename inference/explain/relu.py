"""Guided ReLUs without hooks and without changing the network (Springenberg et al., 2014).

While the mode is on, every spelling of ReLU runs an autograd function whose backward pass reads a switch: off, it is
the plain derivative; on, it lets through only what is positive in both directions. So one forward pass serves both.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from inference.errors import CannotExplain

Function = Callable[..., Any]


class Switch:
    """Read by every ReLU of one call at its backward pass, on whichever thread autograd runs it."""

    guided: bool = False


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, switch: Switch, inplace: bool) -> Tensor:
        ctx.switch = switch
        output = tensor.clamp_(min=0) if inplace else tensor.clamp(min=0)
        if inplace:
            ctx.mark_dirty(tensor)
        ctx.save_for_backward(output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (output,) = ctx.saved_tensors  # type: ignore[attr-defined]
        gradient = gradients[0].clamp(min=0) if ctx.switch.guided else gradients[0]  # type: ignore[attr-defined]
        # gradient * 1[output > 0], in one pass over memory
        return torch.ops.aten.threshold_backward(gradient, output, 0), None, None


def _existing(names: Iterable[tuple[Any, str]]) -> frozenset[Function]:
    return frozenset(getattr(home, name) for home, name in names if hasattr(home, name))


_RELU = _existing([(functional, "relu"), (torch, "relu"), (Tensor, "relu")])
_RELU_IN_PLACE = _existing([(torch, "relu_"), (functional, "relu_"), (Tensor, "relu_")])
_CLAMP = _existing((home, name) for home in (torch, Tensor) for name in ("clamp", "clip", "clamp_min"))
_CLAMP_IN_PLACE = _existing((home, name) for home in (torch, Tensor) for name in ("clamp_", "clip_", "clamp_min_"))

# Activations for which the guided rule is not defined. Sigmoid and tanh are not among them: they gate, and their
# derivative is what guided backpropagation uses.
_OTHER = {
    getattr(home, name + tail): name
    for name in (
        *("leaky_relu", "prelu", "rrelu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish"),
        *("hardswish", "hardtanh", "softplus", "threshold", "glu", "logsigmoid", "softsign", "tanhshrink"),
    )
    for tail in ("", "_")
    for home in (functional, torch, Tensor)
    if hasattr(home, name + tail)
}


class GuidedRelus(TorchFunctionMode):
    """Intercepts every ReLU run inside `with`, on this thread only."""

    def __init__(self) -> None:
        super().__init__()
        self.switch = Switch()
        self.count = 0
        """ReLUs intercepted so far."""
        self.others: set[str] = set()
        """Names of activations that the guided rule does not cover."""

    def __torch_function__(
        self, func: Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        inplace = _relu_in_place(func, args, kwargs)
        if inplace is not None:
            self.count += 1
            return _Relu.apply(args[0] if args else kwargs["input"], self.switch, inplace)  # type: ignore[no-untyped-call]
        if func in _OTHER:
            self.others.add(_OTHER[func])
        return func(*args, **kwargs)

    def check(self) -> None:
        """Raises CannotExplain when the guided rule was not applied to all of the network's activations."""
        if self.others:
            raise CannotExplain(f"guided maps are defined for ReLU networks; this one also uses {_listed(self.others)}")
        if not self.count:
            raise CannotExplain("guided maps need ReLUs, and none was seen in the forward pass")


def _relu_in_place(func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool | None:
    """Whether a call of a ReLU works in place; None when it is no ReLU."""
    if func in _RELU:
        return bool(kwargs.get("inplace", args[1] if len(args) > 1 else False))
    if func in _RELU_IN_PLACE:
        return True
    if func in _CLAMP or func in _CLAMP_IN_PLACE:
        low = kwargs.get("min", args[1] if len(args) > 1 else None)
        high = kwargs.get("max", args[2] if len(args) > 2 else None)
        is_relu = isinstance(low, (int, float)) and low == 0 and high is None
        return func in _CLAMP_IN_PLACE if is_relu else None
    return None


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
