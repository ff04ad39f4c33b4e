"""Inversion: a slice as a latent of the generator, or the reason why it is none.

The encoder's latents may be improved by a few steps of optimisation that look at the image alone. Whether they are any
good is then told by the explained model: a slice whose phase flips on reconstruction is not explained, nor one that
lies far from all latents that the generator knows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from inference.counterfactual.cloud import Array
from inference.counterfactual.model import CounterfactualModel
from inference.networks.inverter import Code
from inference.phases import PHASES

FLIPPED = "The model calls the reconstruction {now}, and the slice {was}."
FAR = "The slice is unlike all that the generator knows ({distance:.1f} times the usual distance)."
BODY_HU = -150.0
"""Reconstruction errors are told of the pixels above it."""


@dataclass(frozen=True)
class Refinement:
    """Steps of optimisation behind the encoder; 0 for none."""

    steps: int = 30
    rate: float = 0.03
    anchor: float = 0.02
    """How strongly the latents are held to the encoder's."""


@dataclass(frozen=True)
class Inversion:
    """One slice and its reconstruction."""

    latents: Tensor
    """[block, latent]."""
    anatomy: Tensor | None
    """[channel, row, column]; None for a generator that takes none."""
    hounsfield: Tensor
    """hounsfield[row, column] of the view: the slice, within the window."""
    reconstruction: Tensor
    """The same of the reconstruction."""
    source: Array
    """[class]: probabilities of the slice itself, as the explained model sees it."""
    kept: Array
    """[class]: probabilities of the reconstruction."""
    distance: float
    """From the centre of the known latents, about 1 for a usual one."""
    farthest: float
    """The distance that is still usual."""

    @property
    def error_hu(self) -> float:
        """Mean absolute difference in the body, in HU."""
        body = self.hounsfield > BODY_HU
        return float((self.hounsfield - self.reconstruction).abs()[body].mean()) if bool(body.any()) else 0.0

    @property
    def fidelity_error(self) -> float:
        """Largest difference of a class's probability, 0..1."""
        return float(abs(self.source - self.kept).max())

    @property
    def reason(self) -> str | None:
        """Why no counterfactual is to be shown; None when one may be."""
        was, now = int(self.source.argmax()), int(self.kept.argmax())
        if was != now:
            return FLIPPED.format(now=PHASES[now].value, was=PHASES[was].value)
        if self.distance > self.farthest:
            return FAR.format(distance=self.distance / self.farthest)
        return None


def invert(
    model: CounterfactualModel, images: Tensor, source: Array, refinement: Refinement | None = None
) -> tuple[Inversion, ...]:
    """images[slice, 1, row, column] in -1..1; source[slice, class]: what the model says of the slices themselves."""
    found, anatomy = refined(model, images, refinement or Refinement())
    made = model.images(found, anatomy)
    kept = model.probabilities(made)
    with torch.no_grad():
        read = model.network.encoder(images.to(model.device))
    # Of what the encoder read, as the known latents are: refinement also moves along axes that hardly show.
    distances = model.cloud.distance(read.mean(dim=1).double().cpu().numpy())
    seen = model.view.hounsfield(images[:, 0])
    places = [None] * len(images) if anatomy is None else list(anatomy.cpu())
    return tuple(
        Inversion(found[i].cpu(), places[i], seen[i], made[i], source[i], kept[i], float(distances[i]), model.farthest)
        for i in range(len(images))
    )


def refined(model: CounterfactualModel, images: Tensor, refinement: Refinement) -> Code:
    """Latents and anatomy of images[slice, 1, row, column]: the encoder's, and then a little better.

    Which tissue is where stays as it was read: what is drawn into it there would not follow w any more.
    """
    images = images.to(model.device)
    with torch.no_grad():
        start, anatomy = model.network.encoder.code(images)
    fixed = model.network.generator.shape.tissues
    w = start[:, :1].clone().requires_grad_()
    texture = None if anatomy is None else anatomy[:, fixed:].clone().requires_grad_()
    optimiser = torch.optim.Adam([w] if texture is None else [w, texture], lr=refinement.rate)
    for _ in range(refinement.steps):
        made = model.network.generator.synthesis(w.expand_as(start), anatomy=_joined(anatomy, texture))
        # A sum, so that each slice is fitted as if it were alone.
        loss: Tensor = _difference(made, images)
        loss = loss + refinement.anchor * (w - start[:, :1]).square().mean(dim=(1, 2)).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    joined = _joined(anatomy, texture)
    return w.detach().expand_as(start), None if joined is None else joined.detach()


def _joined(anatomy: Tensor | None, texture: Tensor | None) -> Tensor | None:
    """Anatomy with other texture: all that follows its tissues."""
    if anatomy is None or texture is None:
        return None
    return torch.cat([anatomy[:, : anatomy.shape[1] - texture.shape[1]], texture], dim=1)


def _difference(made: Tensor, images: Tensor) -> Tensor:
    """Mean absolute difference at full and at quarter size, summed over the slices."""
    fine = (made - images).abs().mean(dim=(1, 2, 3))
    coarse = (F.avg_pool2d(made, 4) - F.avg_pool2d(images, 4)).abs().mean(dim=(1, 2, 3))
    return (fine + coarse).sum()
