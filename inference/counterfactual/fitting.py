"""Fitting: which latents the generator knows, and along which the explained model changes its answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.counterfactual.cloud import Array, Cloud
from inference.counterfactual.directions import Direction, directions, names_of
from inference.counterfactual.predictor import Predictor, predictor_of, probabilities
from inference.counterfactual.regions import Region, regions_of
from inference.counterfactual.view import View
from inference.models import Bundle
from inference.networks.inverter import CounterfactualNetwork
from inference.networks.stylegan2 import Shape
from inference.phases import PHASES

BATCH = 64
ENOUGH = 100
"""Latents of a region, for directions of its own."""


@dataclass(frozen=True)
class Fitting:
    """How many latents are looked at."""

    images: int = 1_500
    """Training slices whose encoded latents are looked at: what is explained later is encoded."""
    samples: int = 0
    """Latents of random z besides; along the narrow axes on which contrast lies they spread wider than encoded ones."""
    seed: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the directions."""
        return names_of([phase.value for phase in PHASES])


def fit(
    network: CounterfactualNetwork, view: View, explained: Bundle, images: Tensor, fitting: Fitting
) -> dict[str, Any]:
    """Sets cloud and directions of `network`, for images[slice, 1, row, column] of training; returns the figures."""
    latents = sampled(network, images, fitting)
    cloud = Cloud.around(latents)
    known = answers(network, latents, images, view, predictor_of(explained))
    network.mean.copy_(torch.from_numpy(cloud.mean))
    network.spread.copy_(torch.from_numpy(cloud.spread))
    members = _members(network, latents, images)
    found = {region: _steps(latents[chosen], known[chosen]) for region, chosen in members.items()}
    network.directions.copy_(torch.from_numpy(np.stack([steps for _, steps in found.values()])))
    distances = cloud.distance(latents)
    said = np.bincount(known.argmax(axis=1), minlength=len(PHASES)) / len(known)
    return {
        "direction auc": {
            region.value: {direction.name: _rounded(direction.auc) for direction in made}
            for region, (made, _) in found.items()
        },
        "latents": {region.value: int(chosen.sum()) for region, chosen in members.items()},
        "answers to the latents": {phase.value: round(float(p), 3) for phase, p in zip(PHASES, said, strict=True)},
        "distance": {f"{q} %": round(float(np.percentile(distances, q)), 3) for q in (50, 95, 99)},
    }


def regions_for(shape: Shape) -> tuple[Region, ...]:
    """The regions that a generator has directions for: only one that tells tissues apart knows any but ALL."""
    return tuple(Region) if shape.tissues else (Region.ALL,)


def _steps(latents: Array, known: Array) -> tuple[tuple[Direction, ...], Array]:
    """All directions, and [direction, latent]: one standard deviation of latents[sample, latent] along each."""
    cloud = Cloud.around(latents)
    found = directions(cloud.whitened(latents), known, [phase.value for phase in PHASES])
    return found, np.stack([cloud.spread @ direction.unit for direction in found])


@torch.inference_mode()
def _members(network: CounterfactualNetwork, latents: Array, images: Tensor) -> dict[Region, NDArray[np.bool_]]:
    """Which of the latents lie in each region; everywhere all of them, where a region has too few."""
    everything = np.ones(len(latents), bool)
    shape = network.generator.shape
    if not shape.tissues:
        return {Region.ALL: everything}
    seen = [network.encoder.anatomy(some) for some in _batches(images)]
    named = [name for some in seen if some is not None for name in regions_of(some[:, : shape.tissues])]
    # Latents of random z have no place of their own.
    placed = np.array([Region.ALL] * (len(latents) - len(named)) + named)
    members = {region: everything if region is Region.ALL else placed == region for region in regions_for(shape)}
    return {region: chosen if chosen.sum() >= ENOUGH else everything for region, chosen in members.items()}


@torch.inference_mode()
def sampled(network: CounterfactualNetwork, images: Tensor, fitting: Fitting) -> Array:
    """[sample, latent]: w of random z, and the encoded images' (a mean over the blocks)."""
    random = torch.Generator().manual_seed(fitting.seed)
    z = torch.randn((fitting.samples, network.generator.shape.latent), generator=random)
    parts = [network.generator.mapping(z)] if fitting.samples else []
    parts += [network.encoder(some).mean(dim=1) for some in _batches(images)]
    return torch.cat(parts).double().numpy()


@torch.inference_mode()
def answers(network: CounterfactualNetwork, latents: Array, images: Tensor, view: View, predictor: Predictor) -> Array:
    """[sample, class]: what the model says of the image of each latent; the last of them are those of `images`.

    Where anatomy is wanted an encoded latent is drawn on its own image's, the others on one after the other.
    """
    found, start = [], len(images) - len(latents) % len(images)
    for some in _batches(torch.from_numpy(latents).float()):
        places = images[(start + torch.arange(len(some))) % len(images)]
        start += len(some)
        made = network.generator.synthesis(network.generator.everywhere(some), anatomy=network.encoder.anatomy(places))
        found.append(predictor.logits(view.onto(view.hounsfield(made[:, 0]), predictor.grid)))
    return probabilities(np.concatenate(found))


def _batches(values: Tensor) -> Iterator[Tensor]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]


def _rounded(value: float) -> float | None:
    """For a card, which knows no NaN."""
    return round(value, 3) if np.isfinite(value) else None
