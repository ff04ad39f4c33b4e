"""explain(): every map at every layer from one shared pass."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.errors import CannotExplain
from inference.explain import formulas
from inference.explain.mapset import Map, MapSet
from inference.explain.passes import LayerPass, Passes, run
from inference.explain.targets import Score, Target, as_target

INPUT_METHODS = ("saliency", "guided-backprop")
LAYER_METHODS = ("cam", "grad-cam", "hirescam", "guided-grad-cam", "sam")
METHODS = INPUT_METHODS + LAYER_METHODS


def explain(
    model: nn.Module,
    slices: Tensor,
    *,
    target: int | Sequence[int] | Score | Target,
    layers: Sequence[str | nn.Module] = (),
    maps: Sequence[str] = ("sam", "grad-cam"),
    sam_kind: str = formulas.DEFAULT_SAM_KIND,
    up: bool = True,
    model_hash: str = "",
) -> MapSet:
    """Maps of what in slices[batch, channel, row, column] (or [batch, channel, slice, row, column]) made the score.

    `target`: a class for all images, one class for each, or a function of the network's output (see Target).
    `layers`: modules or their names, for the maps that have a layer; of one that is run several times, its last run.
    `maps`: names from METHODS. "cam" is given for those of the layers where it is defined.
    `up`: maps of a layer on the input's grid (SAM and guided Grad-CAM always are).

    The network is read and never written to; it is run in evaluation mode and full precision on the device of its
    weights, whatever mode it or the caller is in. Each image's maps are those that it would have alone. Calls from
    several threads on one network do not see each other.

    Raises CannotExplain when a map has no meaning for this network or layer, ValueError for unknown names and shapes.
    """
    _check(slices, layers, maps, sam_kind)
    guided = _needs_guided(maps, sam_kind)
    found = as_target(target)
    device = _device(model, slices)
    with torch.inference_mode(False), torch.autocast(device.type, enabled=False):
        passes = run(model, slices.to(device).clone(), found, layers, guided)
        made = tuple(_maps(passes, maps, sam_kind, up))
    return MapSet(
        maps=made,
        target=found.name,
        score_kind=found.kind,
        scores=_numbers(passes.scores),
        present=passes.present.cpu().numpy(),
        sam_kind=sam_kind,
        model_hash=model_hash,
    )


def _maps(passes: Passes, methods: Sequence[str], sam_kind: str, up: bool) -> Iterator[Map]:
    with torch.no_grad():
        atlas = _Atlas(passes, sam_kind, up)
        for method in dict.fromkeys(methods):
            places: Sequence[LayerPass | None] = passes.layers if method in LAYER_METHODS else (None,)
            if method == "cam":
                places = atlas.cam_layers()
            for layer in places:
                values = atlas.values(method, layer)
                # where nothing is to be explained a gradient may be anything, NaN included
                here = passes.present.to(values.device).reshape(-1, *[1] * (values.ndim - 1))
                values = torch.where(here, values, torch.zeros_like(values))
                yield Map(method, layer.name if layer else "", _numbers(values))


class _Atlas:
    """The maps of one pass, each factor computed once and used by all maps that share it."""

    def __init__(self, passes: Passes, sam_kind: str, up: bool) -> None:
        self._passes, self._up = passes, up
        self._products = {"sam": formulas.SAM_KINDS[sam_kind], "guided-grad-cam": ("guided-backprop", "grad-cam")}
        self._made: dict[tuple[str, str], Tensor] = {}

    def values(self, method: str, layer: LayerPass | None) -> Tensor:
        """values[batch, *space]."""
        if layer is None:
            return self._once(method, "", lambda: formulas.input_map(method, self._passes))
        if method in self._products:
            of_input, of_layer = self._products[method]
            return self.values(of_input, None) * self._raised(of_layer, layer)
        return self._raised(method, layer) if self._up else self._flat(method, layer)

    def cam_layers(self) -> list[LayerPass]:
        """The layers where CAM is defined. Raises CannotExplain when there is none."""
        found, reason = [], CannotExplain("CAM needs a layer")
        for layer in self._passes.layers:
            try:
                self._flat("cam", layer)
                found.append(layer)
            except CannotExplain as error:
                reason = error
        if not found:
            raise reason
        return found

    def _flat(self, method: str, layer: LayerPass) -> Tensor:
        if method == "cam":
            return self._once(method, layer.name, lambda: formulas.cam(layer, self._passes.head))
        formula = formulas.grad_cam if method == "grad-cam" else formulas.hirescam
        return self._once(method, layer.name, lambda: formula(layer))

    def _raised(self, method: str, layer: LayerPass) -> Tensor:
        return self._once(
            method + " up", layer.name, lambda: formulas.raised(self._flat(method, layer), self._passes.gradient)
        )

    def _once(self, method: str, layer: str, make: Any) -> Tensor:
        if (method, layer) not in self._made:
            self._made[method, layer] = make()
        return self._made[method, layer]


def _check(slices: Tensor, layers: Sequence[str | nn.Module], maps: Sequence[str], sam_kind: str) -> None:
    if slices.ndim not in (4, 5) or 0 in slices.shape:
        raise ValueError(f"slices of shape {tuple(slices.shape)}: [batch, channel, (slice,) row, column] is needed")
    if not slices.is_floating_point():
        raise ValueError(f"slices of {slices.dtype}: a gradient needs floating point")
    if unknown := [name for name in maps if name not in METHODS]:
        raise ValueError(f"unknown maps {unknown}; there are {list(METHODS)}")
    if sam_kind not in formulas.SAM_KINDS:
        raise ValueError(f"unknown kind of SAM {sam_kind!r}; there are {list(formulas.SAM_KINDS)}")
    if not layers and (lacking := [name for name in maps if name in LAYER_METHODS]):
        raise ValueError(f"{lacking} need a layer")


def _needs_guided(maps: Sequence[str], sam_kind: str) -> bool:
    by_sam = "sam" in maps and "guided-backprop" in formulas.SAM_KINDS[sam_kind]
    return by_sam or "guided-backprop" in maps or "guided-grad-cam" in maps


def _device(model: nn.Module, slices: Tensor) -> torch.device:
    return next((weight.device for weight in model.parameters()), slices.device)


def _numbers(values: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(values.detach().float().cpu().numpy())
