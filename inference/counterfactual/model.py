"""CounterfactualModel: a generator's bundle, ready to ask what would have to change."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from inference.counterfactual.cloud import Array, Cloud
from inference.counterfactual.predictor import Predictor, predictor_of, probabilities
from inference.counterfactual.regions import Region, regions_of
from inference.counterfactual.view import View
from inference.errors import CannotExplain
from inference.models import Bundle, ModelCard
from inference.networks.inverter import CounterfactualNetwork


@dataclass(frozen=True)
class CounterfactualModel:
    """Generator, encoder, cloud and directions, and the model that they explain."""

    network: CounterfactualNetwork
    view: View
    predictor: Predictor
    cloud: Cloud
    names: tuple[str, ...]
    """Names of the directions, in their order."""
    regions: tuple[Region, ...]
    """Those that have directions of their own, ALL first."""
    farthest: float
    """Distance from the cloud's centre beyond which a latent is not known: that of 99 % of its latents."""
    card: ModelCard
    """Of the generator."""
    explained: ModelCard
    """Of the model that is explained."""

    @classmethod
    def of(cls, generator: Bundle, explained: Bundle, device: str = "cpu") -> "CounterfactualModel":
        """Raises CannotExplain when the bundle is no generator, or its directions are of another model."""
        network, options = generator.module, generator.card.options
        if not isinstance(network, CounterfactualNetwork):
            raise CannotExplain(f"{generator.card.name} is no generator of counterfactuals.")
        if options["explains"] != explained.card.weights_sha256:
            raise CannotExplain(
                "The generator's directions were learned from the answers of another model: train it for this one."
            )
        cloud = Cloud(network.mean.cpu().double().numpy(), network.spread.cpu().double().numpy())
        return cls(
            network=network.to(device),
            view=View.from_options(options),
            predictor=predictor_of(explained, device),
            cloud=cloud,
            names=tuple(options["directions"]),
            regions=tuple(Region(name) for name in options["regions"]),
            farthest=float(generator.card.metrics["distance"]["99 %"]),
            card=generator.card,
            explained=explained.card,
        )

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.mean.device

    def regions_of(self, anatomy: Tensor | None) -> tuple[Region, ...]:
        """The regions whose directions suit a slice of anatomy[channel, row, column]: ALL, and its own."""
        if anatomy is None or len(self.regions) == 1:
            return (Region.ALL,)
        return Region.ALL, *regions_of(anatomy[None, : self.network.generator.shape.tissues])

    def step(self, name: str, region: Region = Region.ALL) -> Array:
        """[latent]: one standard deviation of a region's latents along a direction; "b > a" is "a > b" backwards.

        Raises KeyError for a name that is none.
        """
        backwards = " > ".join(reversed(name.split(" > ")))
        if name not in self.names and backwards not in self.names:
            raise KeyError(f"no direction {name!r}: there are {', '.join(self.names)}")
        known, sign = (name, 1.0) if name in self.names else (backwards, -1.0)
        along = self.network.directions[self.regions.index(region), self.names.index(known)]
        return np.asarray(sign * along.double().cpu().numpy())

    def images(self, latents: Tensor, anatomy: Tensor | None = None) -> Tensor:
        """latents[slice, block, latent], anatomy[slice, channel, row, column] -> hounsfield[slice, row, column].

        Of the view; `anatomy` is None for a generator that takes none.
        """
        given = None if anatomy is None else anatomy.to(self.device)
        made = self.network.generator.synthesis(latents.to(self.device), anatomy=given)
        return self.view.hounsfield(made[:, 0]).cpu()

    def logits(self, hounsfield: Tensor) -> Array:
        """What the explained model says of hounsfield[slice, row, column] of the view: [slice, class]."""
        return self.predictor.logits(self.view.onto(hounsfield, self.predictor.grid))

    def probabilities(self, hounsfield: Tensor) -> Array:
        """The same as probabilities."""
        return probabilities(self.logits(hounsfield))
