"""The training of a generator with its encoder: images in, weights out, stopped and resumed at will.

One pass of the generator serves both players. Half of what it makes comes from random latents, as in StyleGAN2; the
other half from the encoder, whose images must look like the real ones they came from (reconstruction) and, like all
others, real to the discriminator (VAE-GAN, Larsen 2016; joint with StyleGAN2: Lang 2021, "Explaining in Style", which
also shows the classifier to the encoder: here nothing of it is used). The published way is the generator first and the
encoder afterwards, `Weights.reconstruction` 0; jointly the generator learns what the images to be explained need, in a
fraction of the images.

What images teach generator and encoder besides, see generator_lesson.

What is random in a step is drawn from the seed and the number of the step, so a run that was stopped goes on as if it
had not been.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from inference.networks.inverter import Code, Encoder
from inference.networks.stylegan2 import Discriminator, Generator, Shape
from inference.networks.stylegan2_blocks import EqualLinear, parted
from inference.phantom.tissues import Tissue
from inference.training.adaptive_augmentation import Adaptation, augmented
from inference.training.generator_data import Images
from inference.training.generator_lesson import EXCHANGED, Lesson, exchange_losses, tissue_losses
from inference.training.generator_losses import (
    discriminator_loss,
    energy_distance,
    generator_loss,
    gradient_penalty,
    path_lengths,
    reconstruction_loss,
)

Module = TypeVar("Module", bound=nn.Module)
ADAPT_EVERY = 4
KNOWN_DRAWS = 64
ALONE_MOMENTUM = 0.9
"""Of Adam while nobody contradicts; with a discriminator there is none, as published."""
_LATE = 0.75
"""Share of the run after which the learning rate falls to a tenth."""


@dataclass(frozen=True)
class Weights:
    """How much each part of the loss counts, and how often the lazy ones are taken."""

    r1: float = 0.3
    r1_every: int = 16
    path: float = 2.0
    path_every: int = 8
    path_keep: float = 0.99
    mixing: float = 0.9
    """Probability of style mixing."""
    reconstruction: float = 5.0
    same: float = 0.2
    """Share of the reconstructions whose latents come from the slice itself and not from its other."""
    changed: float = 16.0
    """How much more a pixel counts in them for each unit (half of the window) by which the other differs there."""
    latent: float = 0.5
    """Of finding the latent that a generated image came from."""
    tissue: float = 2.0
    level: float = 2.0
    exchange: float = 3.0
    stir: float = 6.0
    """See generator_lesson; only where the anatomy holds tissues."""
    known: float = 1.0
    """Of random w being distributed as encoded ones are."""
    alone: int = 0
    """First steps in which generator and encoder learn to reconstruct, without a discriminator, …"""
    alone_rate: float = 1.2e-2
    """… and fast: with equalised weights the rate of an adversarial game moves each by a mere quarter of a percent."""
    rate: float = 2.5e-3
    average_images: float = 5_000.0
    """Images in which half of the running mean of the weights is replaced, …"""
    average_rampup: float = 0.05
    """… or this share of the images seen so far."""


@dataclass
class GeneratorProgress:
    """Where a run is; the only thing here that changes."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    """Running means, by part of the loss."""


class GeneratorTrainer:
    """Generator, discriminator, encoder and their optimisers: one object that a checkpoint restores."""

    def __init__(self, shape: Shape, weights: Weights | None = None, seed: int = 0, device: str = "cpu") -> None:
        self.shape, self.weights, self.seed, self.device = shape, weights or Weights(), seed, torch.device(device)
        torch.manual_seed(seed)
        self.generator = _laid(Generator(shape), self.device)
        self.discriminator = _laid(Discriminator(shape), self.device)
        self.encoder = _laid(Encoder(shape), self.device)
        self.reader = _laid(EqualLinear(shape.latent, len(Tissue)), self.device)
        self.mean_generator = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.mean_encoder = copy.deepcopy(self.encoder).requires_grad_(False).eval()
        made = [part for module in (self.generator, self.encoder, self.reader) for part in module.parameters()]
        self.make = _adam(made, self.weights.rate, self.weights.path_every)
        self.doubt = _adam(self.discriminator.parameters(), self.weights.rate, self.weights.r1_every)
        self.adaptation = Adaptation()
        self.path_mean = torch.zeros((), device=self.device)
        self.progress = GeneratorProgress()
        self._signs: list[float] = []

    def step(self, images: Images, spent: float = 0.0) -> None:
        """One step of both players; `spent`: share of the run, 0 to 1."""
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + self.progress.step)
        # Without anatomy every slice is wanted as it is: nothing would tell where its other lies.
        same = self.weights.same if self.shape.anatomy else 1.0
        lesson = Lesson.of(images.to(self.device), same, self.weights.changed, self.shape.places, random)
        self._set_rate(spent)
        if self.progress.step < self.weights.alone:
            self._copy(lesson, random)
        else:
            self._play(lesson, random)
        self._average(len(images.real))
        self.progress.step += 1
        self.progress.images += len(images.real)

    def _copy(self, lesson: Lesson, random: torch.Generator) -> None:
        """Generator and encoder alone: images are reconstructed, random latents follow the encoded ones."""
        with self._half():
            latents, seen = self._read(lesson)
            anatomy = self.encoder.anatomy(lesson.real)
            given = self._given(lesson, anatomy)
            made = self.generator.synthesis(latents, random, "random", given)
        self._descend(self.make, self._likeness(made, lesson, latents, given, (anatomy, seen), random))

    def _read(self, lesson: Lesson) -> Code:
        """Latents of what is wanted, and the anatomy that was seen in it."""
        features, anatomy = self.encoder.look(lesson.wanted)
        return self.encoder.latents(lesson.wanted, features, self._given(lesson, anatomy)), anatomy

    def _given(self, lesson: Lesson, anatomy: Tensor | None) -> Tensor | None:
        """Anatomy as the generator is given it."""
        return anatomy if anatomy is None or not self.shape.tissues else lesson.taught(anatomy)

    def _likeness(
        self,
        made: Tensor,
        lesson: Lesson,
        latents: Tensor,
        given: Tensor | None,
        seen: tuple[Tensor | None, ...],
        random: torch.Generator,
    ) -> Tensor:
        """What images teach that shall look like those they came from."""
        weights = self.weights
        difference = reconstruction_loss(made, lesson.wanted, lesson.counts)
        known = self._known(latents, random)
        self._note(reconstruction=difference, known=known)
        loss = weights.reconstruction * difference + weights.known * known
        if given is not None and self.shape.tissues:
            shares = [parted(anatomy, self.shape.tissues)[0] for anatomy in seen if anatomy is not None]
            loss = loss + self._tissues(lesson, made, latents, given, shares, random)
        return loss

    def _tissues(
        self,
        lesson: Lesson,
        made: Tensor,
        latents: Tensor,
        given: Tensor,
        shares: list[Tensor],
        random: torch.Generator,
    ) -> Tensor:
        """What the tissues teach."""
        found = dict(tissue_losses(lesson, shares, self.reader(latents[:, 0])))
        count = -(-len(latents) // EXCHANGED)
        with self._half():
            other = self.generator.synthesis(latents.roll(1, dims=0)[:count], random, "random", given[:count])
        found |= exchange_losses(lesson, other, made)
        self._note(**found)
        return sum((getattr(self.weights, name) * loss for name, loss in found.items()), torch.zeros(()))

    def _known(self, latents: Tensor, random: torch.Generator) -> Tensor:
        """How far random w are from the encoded ones in distribution; it teaches the mapping network alone."""
        z = torch.randn((KNOWN_DRAWS, self.shape.latent), generator=random).to(self.device)
        return energy_distance(self.generator.mapping(z).float(), latents.detach().float().mean(dim=1))

    def _play(self, lesson: Lesson, random: torch.Generator) -> None:
        """Both players, and the path lengths now and then."""
        with self._half():
            latents, anatomy, made = self._made(lesson, random)
        self._doubt(lesson.real, made.detach(), random)
        self._make(lesson, latents, anatomy, made, random)
        if self.progress.step % self.weights.path_every == 0:
            count = max(len(made) // 2, 1)
            self._straighten(count, random, None if anatomy is None else anatomy[:count].detach().float())

    def state(self) -> dict[str, Any]:
        """Everything that a later run needs to go on."""
        parts = {name: getattr(self, name).state_dict() for name in _PARTS}
        told = {"step": self.progress.step, "images": self.progress.images, "seconds": self.progress.seconds}
        adapted = {"probability": self.adaptation.probability, "signs": list(self._signs)}
        return {**parts, **told, **adapted, "path_mean": self.path_mean, "losses": dict(self.progress.losses)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.progress = GeneratorProgress(state["step"], state["images"], state["seconds"], dict(state["losses"]))
        self.adaptation = Adaptation(state["probability"])
        self._signs = list(state["signs"])
        self.path_mean = state["path_mean"].to(self.device)

    def _made(self, lesson: Lesson, random: torch.Generator) -> tuple[Tensor, Tensor | None, Tensor]:
        """latents[batch, block, latent], anatomy and images: first from random z, then from the encoder."""
        encoded = len(lesson.real) // 2 if self.weights.reconstruction > 0 else 0
        drawn = self._drawn(len(lesson.real) - encoded, random)
        latents = torch.cat([drawn, self.encoder(lesson.wanted[:encoded])]) if encoded else drawn
        # What is encoded is the first half of the batch and comes last.
        anatomy = self.encoder.anatomy(lesson.real.roll(-encoded, dims=0))
        return latents, anatomy, self.generator.synthesis(latents, random, "random", anatomy)

    def _drawn(self, count: int, random: torch.Generator) -> Tensor:
        """Latents of random z, most of them with style mixing."""
        z = torch.randn((2, count, self.shape.latent), generator=random).to(self.device)
        first, second = self.generator.mapping(z[0]).float(), self.generator.mapping(z[1]).float()
        self.generator.mapping.follow(first)
        crossover = torch.randint(1, self.shape.blocks + 1, (count,), generator=random)
        unmixed = torch.rand(count, generator=random) >= self.weights.mixing
        crossover = torch.where(unmixed, self.shape.blocks, crossover)
        return self.generator.mixed(first, second, crossover.to(self.device))

    def _doubt(self, real: Tensor, made: Tensor, random: torch.Generator) -> None:
        """The discriminator's step, with R1 now and then."""
        p = self.adaptation.probability
        self.discriminator.requires_grad_(True)
        with self._half():
            known = self.discriminator(augmented(real, p, random))
            found = self.discriminator(augmented(made, p, random))
        loss = discriminator_loss(known, found)
        self._note(discriminator=loss)
        if self.progress.step % self.weights.r1_every == 0:
            penalty = gradient_penalty(self.discriminator, augmented(real, p, random))
            loss = loss + penalty * self.weights.r1 * self.weights.r1_every
            self._note(r1=penalty)
        self._descend(self.doubt, loss)
        self._adapt(known.detach(), len(real))

    def _make(
        self, lesson: Lesson, latents: Tensor, anatomy: Tensor | None, made: Tensor, random: torch.Generator
    ) -> None:
        """The step of generator and encoder."""
        self.discriminator.requires_grad_(False)
        encoded = len(made) // 2 if self.weights.reconstruction > 0 else 0
        drawn = len(made) - encoded
        with self._half():
            found = self.discriminator(augmented(made, self.adaptation.probability, random))
            again = self.encoder(made[:drawn].detach())
        loss = generator_loss(found)
        inverse = (again - latents[:drawn].detach()).square().mean()
        self._note(generator=loss, latent=inverse)
        loss = loss + self.weights.latent * inverse
        if encoded:
            places = None if anatomy is None else anatomy[drawn:]
            loss = loss + self._likeness(
                made[drawn:], lesson.first(encoded), latents[drawn:], places, (places,), random
            )
        self._descend(self.make, loss)

    def _straighten(self, count: int, random: torch.Generator, anatomy: Tensor | None) -> None:
        """Path-length regularisation: equal steps in w make equal changes in the image."""
        latents = self._drawn(count, random)
        image = self.generator.synthesis(latents, random, "random", anatomy)
        direction = torch.randn(image.shape, generator=random).to(self.device)
        lengths = path_lengths(image, latents, direction)
        self.path_mean = lengths.detach().mean().lerp(self.path_mean, self.weights.path_keep)
        loss = (lengths - self.path_mean).square().mean()
        self._note(path=loss)
        self._descend(self.make, loss * self.weights.path * self.weights.path_every)

    def _descend(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def _adapt(self, known: Tensor, count: int) -> None:
        self._signs.append(float(known.sign().mean()))
        if len(self._signs) >= ADAPT_EVERY:
            certainty = sum(self._signs) / len(self._signs)
            self.adaptation = self.adaptation.after(certainty, count * len(self._signs))
            self._signs = []

    def _set_rate(self, spent: float) -> None:
        late = 1.0 if spent <= _LATE else 1.0 - 0.9 * min(1.0, (spent - _LATE) / (1.0 - _LATE))
        for optimiser, every in ((self.make, self.weights.path_every), (self.doubt, self.weights.r1_every)):
            for group in optimiser.param_groups:
                group["lr"] = self.weights.rate * late * _lazy(every)
        alone = self.progress.step < self.weights.alone
        for group in self.make.param_groups:
            group["betas"] = (ALONE_MOMENTUM if alone else 0.0, group["betas"][1])
            group["lr"] = self.weights.alone_rate * late if alone else group["lr"]

    def _half(self) -> torch.autocast:
        """bfloat16 for the large tensors; R1 and path length, which need second derivatives, stay in float32."""
        return torch.autocast(self.device.type, torch.bfloat16)

    @torch.no_grad()
    def _average(self, count: int) -> None:
        keep = average_keep(count, self.progress.images, self.weights)
        pairs = ((self.mean_generator, self.generator), (self.mean_encoder, self.encoder))
        for mean, now in pairs:
            for a, b in zip(mean.parameters(), now.parameters(), strict=True):
                a.lerp_(b, 1.0 - keep)
        self.mean_generator.mapping.centre.copy_(self.generator.mapping.centre)
        self.mean_encoder.unit.load_state_dict(self.encoder.unit.state_dict())

    def _note(self, **losses: Tensor) -> None:
        for name, loss in losses.items():
            value = float(loss.detach())
            self.progress.losses[name] = 0.98 * self.progress.losses.get(name, value) + 0.02 * value


_PARTS = ("generator", "discriminator", "encoder", "reader", "mean_generator", "mean_encoder", "make", "doubt")


def average_keep(count: int, images: int, weights: Weights) -> float:
    """Share of the running mean that a step of `count` images keeps after `images` images."""
    half = min(weights.average_images, max(images, count) * weights.average_rampup)
    return float(0.5 ** (count / max(half, 1e-8)))


def _lazy(every: int) -> float:
    """Rate and moments of an optimiser whose regulariser is taken every so many steps (Karras 2020, appendix B)."""
    return every / (every + 1.0)


def _adam(parameters: Any, rate: float, every: int) -> torch.optim.Adam:
    lazy = _lazy(every)
    return torch.optim.Adam(parameters, lr=rate * lazy, betas=(0.0, 0.99**lazy), eps=1e-8)


def _laid(module: Module, device: torch.device) -> Module:
    return module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
