"""Inversion: a slice as a latent of the generator, or the reason why it is none.

What the encoder reads may be improved by optimisation that looks at the image alone, but what is drawn into it then
follows w less: a vessel that is bright in the texture stays bright. So it is done in stages, each only for slices of
which the explained model answers the reconstruction otherwise than the slice itself:

    the encoder's w and anatomy   >   w refined   >   w and texture refined

A slice whose phase still flips on reconstruction is not explained, nor one that lies far from all latents that the
generator knows.
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
    """Steps of optimisation in each stage behind the encoder; 0 for none."""

    steps: int = 30
    rate: float = 0.05
    texture_rate: float = 0.03
    anchor: float = 0.02
    """How strongly w is held to the encoder's."""


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
    def is_kept(self) -> bool:
        """Whether the model answers the reconstruction as it does the slice."""
        return int(self.source.argmax()) == int(self.kept.argmax())

    @property
    def reason(self) -> str | None:
        """Why no counterfactual is to be shown; None when one may be."""
        if not self.is_kept:
            was, now = PHASES[int(self.source.argmax())], PHASES[int(self.kept.argmax())]
            return FLIPPED.format(now=now.value, was=was.value)
        if self.distance > self.farthest:
            return FAR.format(distance=self.distance / self.farthest)
        return None


def invert(
    model: CounterfactualModel, images: Tensor, source: Array, refinement: Refinement | None = None
) -> tuple[Inversion, ...]:
    """images[slice, 1, row, column] in -1..1; source[slice, class]: what the model says of the slices themselves."""
    how = refinement or Refinement()
    images = images.to(model.device)
    with torch.no_grad():
        read = model.network.encoder.code(images)
    # Of what the encoder read, as the known latents are: refinement also moves along axes that hardly show.
    distances = model.cloud.distance(read[0].mean(dim=1).double().cpu().numpy())
    found = _inversions(model, images, read, source, distances)
    for with_texture in (False, True) if how.steps else ():
        unlike = [i for i, inversion in enumerate(found) if not inversion.is_kept]
        if not unlike or (with_texture and read[1] is None):
            break
        better = refined(model, images[unlike], _some(read, unlike), how, with_texture)
        again = _inversions(model, images[unlike], better, source[unlike], distances[unlike])
        for i, inversion in zip(unlike, again, strict=True):
            found[i] = inversion
    return tuple(found)


def refined(
    model: CounterfactualModel, images: Tensor, read: Code, how: Refinement, with_texture: bool = False
) -> Code:
    """What the encoder read in images[slice, 1, row, column], a little better: w, and the texture where it is said.

    Which tissue is where stays as it was read: what is drawn into it there would not follow w any more.
    """
    start, anatomy = read
    w = start[:, :1].clone().requires_grad_()
    fixed = model.network.generator.shape.tissues
    texture = anatomy[:, fixed:].clone().requires_grad_() if with_texture and anatomy is not None else None
    learned = [{"params": [w], "lr": how.rate}]
    learned += [] if texture is None else [{"params": [texture], "lr": how.texture_rate}]
    optimiser = torch.optim.Adam(learned)
    for _ in range(how.steps):
        made = model.network.generator.synthesis(w.expand_as(start), anatomy=_joined(anatomy, texture))
        # A sum, so that each slice is fitted as if it were alone.
        loss: Tensor = _difference(made, images)
        loss = loss + how.anchor * (w - start[:, :1]).square().mean(dim=(1, 2)).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    joined = _joined(anatomy, texture)
    return w.detach().expand_as(start), None if joined is None else joined.detach()


def _inversions(
    model: CounterfactualModel, images: Tensor, code: Code, source: Array, distances: Array
) -> list[Inversion]:
    latents, anatomy = code
    with torch.no_grad():
        made = model.images(latents, anatomy)
    kept, seen = model.probabilities(made), model.view.hounsfield(images[:, 0]).cpu()
    places = [None] * len(images) if anatomy is None else list(anatomy.cpu())
    return [
        Inversion(
            latents[i].cpu(), places[i], seen[i], made[i], source[i], kept[i], float(distances[i]), model.farthest
        )
        for i in range(len(images))
    ]


def _some(code: Code, which: list[int]) -> Code:
    return code[0][which], None if code[1] is None else code[1][which]


def _joined(anatomy: Tensor | None, texture: Tensor | None) -> Tensor | None:
    """Anatomy with other texture: all that follows its tissues."""
    if anatomy is None or texture is None:
        return anatomy
    return torch.cat([anatomy[:, : anatomy.shape[1] - texture.shape[1]], texture], dim=1)


def _difference(made: Tensor, images: Tensor) -> Tensor:
    """Mean absolute difference at full and at quarter size, summed over the slices."""
    fine = (made - images).abs().mean(dim=(1, 2, 3))
    coarse = (F.avg_pool2d(made, 4) - F.avg_pool2d(images, 4)).abs().mean(dim=(1, 2, 3))
    return (fine + coarse).sum()
