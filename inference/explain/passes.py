"""The shared pass: one forward and at most two backwards give what every map is made of."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from inference.errors import CannotExplain
from inference.explain.relu import GuidedRelus
from inference.explain.replica import Replica
from inference.explain.targets import Target


@dataclass(frozen=True)
class LayerPass:
    """One layer: dy/dA and A are both [batch, channel, *space]."""

    name: str
    activation: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class Passes:
    """Everything measured in the network."""

    scores: Tensor
    """y[batch]."""
    present: Tensor
    """bool[batch]."""
    gradient: Tensor
    """dy/dx[batch, channel, *space]."""
    guided: Tensor | None
    """The same through guided ReLUs; None when it was not asked for."""
    layers: tuple[LayerPass, ...]
    head: "Head | None"
    """The linear layer that gives the logits; None when there is none."""


@dataclass(frozen=True)
class Head:
    """The last linear layer: features[batch, channel] and, for each image, the weights[batch, channel] of its class."""

    features: Tensor
    weights: Tensor


@dataclass
class _Seen:
    """What one module was seen to do, at its last run."""

    activation: Tensor | None = None
    edge: GradientEdge | None = None
    features: Tensor | None = None
    output: Tensor | None = None

    def keep_activation(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or output.ndim < 3:
            raise CannotExplain(f"a {type(module).__name__} gives no feature maps to explain")
        # A copy, and the place in the graph: a later in-place ReLU changes the tensor but neither of these.
        self.activation = output.detach().clone()
        self.edge = get_gradient_edge(output) if output.requires_grad else None

    def keep_linear(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.features, self.output = inputs[0].detach(), output.detach()


def run(model: nn.Module, slices: Tensor, target: Target, layers: Sequence[str | nn.Module], guided: bool) -> Passes:
    """One forward pass, one backward pass, and a second one when guided gradients are wanted.

    Outside of inference mode only: autograd would record nothing.
    Raises CannotExplain when a layer is not there or not run, or guided gradients have no meaning for this network.
    """
    replica = Replica(model)
    if guided and replica.scripted:
        raise CannotExplain("guided maps cannot be made of scripted modules, whose ReLUs are out of sight")
    named = _resolve(model, layers)
    seen = {name: _Seen() for name in named}
    for name, module in named.items():
        _watch(name, replica.twin(module), seen[name])
    linears = {twin: _Seen() for twin in replica.model.modules() if isinstance(twin, nn.Linear)}
    for twin, watch in linears.items():
        twin.register_forward_hook(watch.keep_linear)
    with torch.enable_grad(), ExitStack() as stack:
        mode = stack.enter_context(GuidedRelus()) if guided else None
        leaf = slices.detach().clone().requires_grad_()
        output = replica.model(leaf.clone())  # a network may write into its input, which a leaf forbids
        if mode is not None:
            mode.check()
        scores = _checked(target(output), len(slices))
        inputs = {"": leaf} | {name: watch.edge for name, watch in seen.items() if watch.edge is not None}
        gradients = _backward(scores, inputs, retain=mode is not None)
        guided_gradient = None
        if mode is not None:
            mode.switch.guided = True
            guided_gradient = _or_zeros(_backward(scores, {"": leaf}, retain=False)[""], leaf)
    return Passes(
        scores=scores.detach(),
        present=torch.ones(len(slices), dtype=torch.bool) if target.present is None else target.present(output),
        gradient=_or_zeros(gradients[""], leaf),
        guided=guided_gradient,
        layers=tuple(_layer(name, watch, gradients.get(name)) for name, watch in seen.items()),
        head=_head(linears, target, scores.detach()),
    )


def _resolve(model: nn.Module, layers: Sequence[str | nn.Module]) -> dict[str, nn.Module]:
    names = {name.replace("_orig_mod.", ""): module for name, module in model.named_modules()}
    found: dict[str, nn.Module] = {}
    for layer in layers:
        name = layer if isinstance(layer, str) else next((n for n, m in names.items() if m is layer), None)
        if name is None or name not in names:
            raise CannotExplain(f"the network has no layer {layer if isinstance(layer, str) else type(layer).__name__}")
        found[name] = names[name]
    return found


def _watch(name: str, twin: nn.Module, seen: _Seen) -> None:
    if isinstance(twin, torch.jit.ScriptModule):
        raise CannotExplain(f"the layer {name} is scripted: its activations are out of sight")
    twin.register_forward_hook(seen.keep_activation)


def _checked(scores: Tensor, batch: int) -> Tensor:
    if scores.shape != (batch,):
        raise ValueError(f"the target gave {tuple(scores.shape)} for {batch} images: one score an image is needed")
    return scores


def _backward(scores: Tensor, inputs: dict[str, Tensor | GradientEdge], retain: bool) -> dict[str, Tensor | None]:
    """d(sum of scores)/d(input): each image's own gradient, since no image's score depends on another image."""
    if not scores.requires_grad:  # a network that ignores its input
        return dict.fromkeys(inputs)
    places: list[Any] = list(inputs.values())
    found = torch.autograd.grad(scores.sum(), places, retain_graph=retain, allow_unused=True)
    return dict(zip(inputs, found, strict=True))


def _or_zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient.detach()


def _layer(name: str, seen: _Seen, gradient: Tensor | None) -> LayerPass:
    if seen.activation is None:
        raise CannotExplain(f"the layer {name} was not run")
    return LayerPass(name, seen.activation, _or_zeros(gradient, seen.activation).detach())


def _head(linears: dict[nn.Linear, _Seen], target: Target, scores: Tensor) -> Head | None:
    """The linear layer whose outputs are the scores that were explained."""
    if target.class_indices is None:
        return None
    given = target.class_indices
    classes = torch.tensor([given] * len(scores) if isinstance(given, int) else given, device=scores.device)
    for linear, seen in linears.items():
        if seen.features is None or seen.output is None or seen.features.ndim != 2:
            continue
        if int(classes.max()) < linear.out_features and _column(seen.output, classes).equal(scores):
            return Head(seen.features, linear.weight.detach()[classes])
    return None


def _column(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None])[:, 0]
