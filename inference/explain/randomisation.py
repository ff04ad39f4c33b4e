"""Does a map depend on what the network has learnt? (Adebayo et al., "Sanity checks for saliency maps", 2018)

The network's parts lose their weights one after the other, from the answer back to the input, and each time the map is
compared with the true one by rank. A map that stays the same draws the image, not the network. This is a property of a
network and a kind of map: measured once, when the model is trained, and kept in its card.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from inference.explain.engine import INPUT_METHODS, explain
from inference.explain.mapset import MapSet
from inference.explain.ranking import spearman


@dataclass(frozen=True)
class Cascade:
    """What became of each kind of map."""

    stages: tuple[str, ...]
    """Parts that had lost their weights, from the answer backwards; each stage includes those before it."""
    rho: Mapping[tuple[str, str], tuple[float, ...]]
    """(method, layer) -> the mean over images of the rank correlation with the true map, at each stage."""

    def summary(self) -> dict[str, float]:
        """Method -> mean of |rho| over all stages, the worst of its layers: what MapScore.randomisation_rho holds."""
        worst: dict[str, float] = {}
        for (method, _), values in self.rho.items():
            worst[method] = max(worst.get(method, 0.0), float(np.mean(np.abs(values))))
        return worst


def cascade(
    model: nn.Module,
    inputs: Tensor,
    target: int | Sequence[int],
    layers: Sequence[str],
    maps: Sequence[str],
    seed: int = 0,
) -> Cascade:
    """Maps of inputs[batch, channel, row, column] as the parts of a copy of the model are reset one by one."""
    asked = {"target": target, "layers": list(layers), "maps": [m for m in maps if m != "cam"]}
    true = explain(model, inputs, **asked)  # type: ignore[arg-type]
    broken = copy.deepcopy(model)
    stages, found = [], []
    for name, part in _from_the_answer(broken):
        _reset(part, seed)
        stages.append(name)
        found.append(_correlations(true, explain(broken, inputs, **asked)))  # type: ignore[arg-type]
    rho = {(m.method, m.layer): tuple(each[i] for each in found) for i, m in enumerate(true)}
    return Cascade(tuple(stages), rho)


def for_card(
    model: nn.Module, inputs: Tensor, target: int | Sequence[int], layers: Mapping[str, str]
) -> dict[str, float]:
    """What a card keeps as metrics["randomisation"]: method -> mean |rho| over the cascade, at the method's layer.

    `layers` is method -> layer, as the node makes its maps; `target` is the right class of each of some dozen slices.
    """
    found = cascade(model, inputs, target, list(dict.fromkeys(layers.values())), list(layers))
    at = {(method, layer): method for method, layer in layers.items()}
    at |= {(method, ""): method for method in layers if method in INPUT_METHODS}
    return {at[key]: round(float(np.mean(np.abs(rho))), 4) for key, rho in found.rho.items() if key in at}


def other_class(
    model: nn.Module, inputs: Tensor, target: int, other: int, layers: Sequence[str], maps: Sequence[str]
) -> dict[tuple[str, str], float]:
    """(method, layer) -> mean rank correlation of the maps of two classes: near 1, the map does not care what is asked.

    The random-logit test of Adebayo et al.
    """
    asked = [explain(model, inputs, target=c, layers=layers, maps=maps) for c in (target, other)]
    return {(m.method, m.layer): rho for m, rho in zip(asked[0], _correlations(*asked), strict=True)}


def repeatability(made: MapSet) -> dict[tuple[str, str], float]:
    """(method, layer) -> mean rank correlation of the maps of neighbouring images of the batch, such as slices ±1.

    Raises ValueError for a batch of one.
    """
    if len(made.scores) < 2:
        raise ValueError("repeatability needs neighbouring slices, and there is one slice")
    return {
        (m.method, m.layer): float(np.mean([spearman(a, b) for a, b in zip(m.values, m.values[1:], strict=False)]))
        for m in made
    }


def _from_the_answer(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The model's direct parts that have weights, the last one first."""
    parts = [(name, part) for name, part in model.named_children() if any(True for _ in part.parameters())]
    return parts[::-1]


def _reset(part: nn.Module, seed: int) -> None:
    """Fresh weights, and for normalisation fresh statistics, as when the network was made."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in part.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()


def _correlations(true: MapSet, other: MapSet) -> list[float]:
    """For each map, the mean over images of the rank correlation."""
    pairs = zip(true, other, strict=True)
    return [float(np.mean([spearman(a, b) for a, b in zip(m.values, n.values, strict=True)])) for m, n in pairs]
