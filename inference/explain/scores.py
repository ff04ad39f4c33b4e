"""How far a map can be trusted: no map is shown without these.

Deletion and insertion (Petsiuk, Das and Saenko, 2018) ask whether the network needs the pixels that the map calls hot.
The removed pixels take the mean of their channel over the image. With pixels in random order the two areas are equal:
what is removed first at one end is put back last at the other. So a map's order says something exactly when insertion
exceeds deletion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.explain.mapset import Map
from inference.explain.ranking import share_inside
from inference.explain.targets import first_tensor
from inference.findings import MapScore

STEPS = 9
_CHUNK = 32
HIGHEST_RHO = 0.5
"""A map whose ranks keep at least this correlation when the weights are random shows the image, not the network."""


@dataclass(frozen=True)
class Faithfulness:
    """Areas under the probability of the explained class, one for each image."""

    deletion: NDArray[np.float64]
    """deletion[batch], 0..1: the hottest pixels removed first; lower is better."""
    insertion: NDArray[np.float64]
    """insertion[batch], 0..1: the hottest pixels put back first; higher is better."""


def score_maps(
    model: nn.Module,
    inputs: Tensor,
    maps: Sequence[Map],
    target: int,
    *,
    randomisation: Mapping[str, float] | None = None,
    organs: NDArray[np.bool_] | None = None,
) -> dict[str, MapScore]:
    """A score for each method, the mean over the images of inputs[batch, channel, row, column].

    `maps` are on the grid of the inputs, one for each method. `randomisation` is what inference.explain.randomisation
    found for this model; `organs`[batch, row, column] marks the phase-bearing organs where they are known.
    The model is run without being changed, in the mode that it is in: hand it in evaluation mode.
    """
    areas = faithfulness(model, inputs, [found.values for found in maps], target)
    scores: dict[str, MapScore] = {}
    for found, area in zip(maps, areas, strict=True):
        rho = (randomisation or {}).get(found.method)
        share = None if organs is None else share_inside(found.values, organs)
        chance = None if organs is None else float(organs.mean())
        deletion, insertion = float(area.deletion.mean()), float(area.insertion.mean())
        poor = is_poor(deletion, insertion, rho, share, chance)
        scores[found.method] = MapScore(deletion, insertion, rho, share, poor)
    return scores


def is_poor(
    deletion_auc: float,
    insertion_auc: float,
    randomisation_rho: float | None = None,
    organ_share: float | None = None,
    organ_area: float | None = None,
) -> bool:
    """Whether a map fails a test that it must pass to be shown as evidence. It does when

    - insertion does not exceed deletion: its order of pixels is no better than a random one;
    - its ranks keep a correlation of HIGHEST_RHO or more when the network's weights are random;
    - less of it lies in phase-bearing organs than these cover of the image.

    What was not measured does not fail.
    """
    if not insertion_auc > deletion_auc:
        return True
    if randomisation_rho is not None and abs(randomisation_rho) >= HIGHEST_RHO:
        return True
    return organ_share is not None and organ_area is not None and organ_share < organ_area


def faithfulness(
    model: nn.Module, inputs: Tensor, maps: Sequence[NDArray[np.float32]], target: int, steps: int = STEPS
) -> list[Faithfulness]:
    """Deletion and insertion for several maps[batch, row, column] of the same inputs[batch, channel, row, column].

    `steps` pictures a curve, both ends included; the ends are run once for all maps. The shares removed grow as
    squares, since a sharp map's effect is spent on its first few pixels.
    """
    device = next((weight.device for weight in model.parameters()), inputs.device)
    inputs = inputs.to(device)
    shares = np.linspace(0.0, 1.0, steps) ** 2
    gone = inputs.mean(tuple(range(2, inputs.ndim)), keepdim=True).expand_as(inputs)
    ends = _probabilities(model, [inputs, gone], target)
    found = []
    for values in maps:
        places = torch.from_numpy(_places(values)).to(device).unsqueeze(1)
        pictures = [torch.where(places < share, gone, inputs) for share in shares[1:-1]]
        pictures += [torch.where(places < share, inputs, gone) for share in shares[1:-1]]
        inner = _probabilities(model, pictures, target)
        deleted = np.stack([ends[0], *inner[: steps - 2], ends[1]])
        inserted = np.stack([ends[1], *inner[steps - 2 :], ends[0]])
        found.append(Faithfulness(_area(shares, deleted), _area(shares, inserted)))
    return found


def _probabilities(model: nn.Module, pictures: Sequence[Tensor], target: int) -> list[NDArray[np.float64]]:
    """The target's softmax probability[batch] for each picture[batch, channel, row, column], in a few large batches."""
    batch = len(pictures[0])
    with torch.inference_mode():
        # Pictures are put together chunk by chunk, so that memory does not grow with their number.
        size = max(1, _CHUNK // batch)
        chunks = [torch.cat(list(pictures[i : i + size])) for i in range(0, len(pictures), size)]
        found = [torch.softmax(first_tensor(model(chunk)).double(), 1)[:, target] for chunk in chunks]
        return list(torch.cat(found).cpu().numpy().reshape(len(pictures), batch))


def _places(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each pixel's place in its image's order, hottest first, from 0 to below 1; ties in a fixed random order."""
    flat = values.reshape(len(values), -1)
    shuffle = np.random.default_rng(0).permutation(flat.shape[1])
    order = shuffle[np.argsort(-flat[:, shuffle], axis=1, kind="stable")]
    places = np.empty(flat.shape, np.float64)
    np.put_along_axis(places, order, np.arange(flat.shape[1], dtype=np.float64) / flat.shape[1], axis=1)
    return places.reshape(values.shape)


def _area(shares: NDArray[np.float64], curve: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.trapezoid(curve, shares, axis=0))
