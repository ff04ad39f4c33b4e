"""The training of a generator: losses as their papers have them, one random stream a step, runs that resume."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from inference.networks.stylegan2 import Discriminator, Shape
from inference.training.adaptive_augmentation import MOST, Adaptation, augmented
from inference.training.generator_data import Images
from inference.training.generator_loop import GeneratorTrainer, Weights, average_keep
from inference.training.generator_losses import (
    discriminator_loss,
    energy_distance,
    generator_loss,
    gradient_penalty,
    path_lengths,
    reconstruction_loss,
)
from inference.training.loop import read_checkpoint, write_state

SMALL = Shape(size=16, base=4, latent=8, width=64, most=8, mapping=2)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(5)


def batches(count: int) -> list[torch.Tensor]:
    """Discs whose grey differs."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij")
    disc = ((x**2 + y**2) < 0.5).float()
    random = torch.Generator().manual_seed(1)
    return [disc * torch.rand(8, 1, 1, 1, generator=random) * 2 - 1 for _ in range(count)]


def with_other(real: torch.Tensor, other: torch.Tensor) -> Images:
    """Slices with their others; nobody knows what they are made of."""
    return replace(Images.alone(real), other=other)


def weights_of(trainer: GeneratorTrainer) -> torch.Tensor:
    parts = (trainer.generator, trainer.discriminator, trainer.encoder, trainer.mean_generator)
    return torch.cat([p.detach().flatten() for part in parts for p in part.parameters()])


def test_the_adversarial_losses_are_cross_entropies() -> None:
    """The discriminator's of real and made; the generator's with the made ones called real."""
    real, made = torch.randn(5), torch.randn(5)
    entropy = nn.functional.binary_cross_entropy_with_logits
    expected = entropy(real, torch.ones(5)) + entropy(made, torch.zeros(5))
    assert float(discriminator_loss(real, made)) == pytest.approx(float(expected), abs=1e-6)
    assert float(generator_loss(made)) == pytest.approx(float(entropy(made, torch.ones(5))), abs=1e-6)


def test_r1_is_half_the_squared_gradient() -> None:
    """Against finite differences of the discriminator on one real image, pixel by pixel."""
    judge = Discriminator(Shape(size=8, base=4, latent=4, width=32, most=4)).double()
    image = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    slopes = []
    with torch.no_grad():
        for i in range(64):
            step = torch.zeros(64, dtype=torch.float64)
            step[i] = 1e-4
            step = step.view(1, 1, 8, 8)
            slopes.append((judge(image + step).double() - judge(image - step).double()) / 2e-4)
    # The logit is float32 in the end, hence the tolerance.
    penalty = gradient_penalty(judge, image).detach()
    assert float(penalty) == pytest.approx(0.5 * float(torch.cat(slopes).square().sum()), rel=0.01)


def test_r1_of_a_plane_is_known() -> None:
    """D(x) = a . x has the gradient a, and the penalty teaches D."""

    class Plane(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = nn.Parameter(torch.full((1, 3, 3), 2.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * self.slope).sum(dim=(1, 2, 3))

    plane = Plane()
    penalty = gradient_penalty(plane, torch.randn(4, 1, 3, 3))
    assert float(penalty) == pytest.approx(0.5 * 9 * 4.0)
    penalty.backward()
    assert plane.slope.grad is not None
    assert torch.allclose(plane.slope.grad, torch.full((1, 3, 3), 2.0))


def test_path_lengths_are_those_of_a_linear_generator() -> None:
    """For image = A w the Jacobian is A: |A^T y| / sqrt(pixels), with latents of two blocks that share the work."""
    a = torch.randn(16, 6)
    latents = torch.randn(3, 2, 6, requires_grad=True)
    image = (latents.mean(dim=1) @ a.T).view(3, 1, 4, 4)
    y = torch.randn(3, 1, 4, 4)
    expected = (y.view(3, 16) @ a / 4.0 / 2.0).norm(dim=1)
    assert torch.allclose(path_lengths(image, latents, y), expected, atol=1e-5)


def test_reconstruction_is_nought_for_the_same_and_sees_a_shift_of_level() -> None:
    """A whole organ too bright counts at all sizes, not at its edges alone."""
    image = torch.rand(2, 1, 8, 8)
    assert float(reconstruction_loss(image, image)) == 0.0
    assert float(reconstruction_loss(image + 0.1, image)) == pytest.approx(0.3, abs=1e-5)
    assert float(reconstruction_loss(image + 0.1, image, 3 * torch.ones_like(image))) == pytest.approx(0.9, abs=1e-5)


def test_the_energy_distance_is_nought_between_draws_of_the_same() -> None:
    """On average, and well above it for a shift or another spread; it pulls the one towards the other."""
    draws = torch.randn(60, 16, 5)
    same = torch.stack([energy_distance(a, b) for a, b in zip(draws[::2], draws[1::2], strict=True)])
    assert float(same.mean().abs()) < 0.1
    assert float(energy_distance(draws[0] + 3.0, draws[1])) > 1.0
    assert float(energy_distance(4.0 * draws[0], draws[1])) > 1.0
    leaf = (draws[0] + 3.0).requires_grad_()
    energy_distance(leaf, draws[1]).backward()
    assert leaf.grad is not None
    assert float(leaf.grad.mean()) > 0


def test_generator_and_encoder_begin_alone() -> None:
    """No discriminator in the first steps: its weights stay as they are, and then they do not."""
    trainer = GeneratorTrainer(SMALL, Weights(alone=2))
    before = trainer.discriminator.answer.weight.clone()
    moved = []
    for image in batches(3):
        trainer.step(Images.alone(image))
        moved.append(not torch.equal(before, trainer.discriminator.answer.weight))
    assert moved == [False, False, True]
    assert {"reconstruction", "known", "discriminator"} <= set(trainer.progress.losses)


def test_augmentation_adapts_to_a_discriminator_that_is_too_sure() -> None:
    """p rises above the target and falls below it, and stays where nothing leaks."""
    start = Adaptation(0.1, target=0.6, images_to_full=1000)
    assert start.after(0.9, 64).probability == pytest.approx(0.164)
    assert start.after(0.2, 64).probability == pytest.approx(0.036)
    assert Adaptation(0.79, images_to_full=100).after(1.0, 64).probability == MOST
    assert Adaptation(0.01, images_to_full=100).after(-1.0, 64).probability == 0.0


def test_augmentation_leaves_a_share_alone_and_can_be_followed_backwards() -> None:
    """Nothing at p = 0; at p = 0.3 some images stay as they are; gradients reach the image."""
    image = torch.rand(64, 1, 16, 16) * 2 - 1
    random = torch.Generator().manual_seed(0)
    assert torch.equal(augmented(image, 0.0, random), image)
    leaf = image.clone().requires_grad_()
    found = augmented(leaf, 0.3, random)
    unchanged = (found - leaf).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert 1 <= int(unchanged.sum()) < 40
    found.sum().backward()
    assert leaf.grad is not None
    assert bool(leaf.grad.abs().sum(dim=(1, 2, 3)).gt(0).all())


def test_the_running_mean_has_its_half_life() -> None:
    """After `average_images` images half of it is new; at the start it follows faster."""
    weights = Weights(average_images=1000.0, average_rampup=0.05)
    late = average_keep(10, 1_000_000, weights)
    assert late**100 == pytest.approx(0.5)
    assert average_keep(10, 1000, weights) < average_keep(10, 10_000, weights) < late


def test_the_mean_generator_follows_the_generator() -> None:
    """With the first step's share."""
    trainer = GeneratorTrainer(SMALL, seed=1)
    before = trainer.mean_generator.synthesis.blocks[1].conv2.conv.weight.clone()
    trainer.step(Images.alone(batches(1)[0]))
    keep = average_keep(8, 0, trainer.weights)
    now = trainer.generator.synthesis.blocks[1].conv2.conv.weight
    expected = before.lerp(now.detach(), 1 - keep)
    assert torch.allclose(trainer.mean_generator.synthesis.blocks[1].conv2.conv.weight, expected, atol=1e-6)
    assert not torch.equal(before, now)


def test_a_run_that_is_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Six steps, and three steps with a checkpoint in between: the same weights, means and augmentation."""
    images = batches(6)
    whole = GeneratorTrainer(SMALL, seed=2)
    for image in images:
        whole.step(Images.alone(image))
    first = GeneratorTrainer(SMALL, seed=2)
    for image in images[:3]:
        first.step(Images.alone(image))
    write_state(first.state(), tmp_path / "generator.pt")
    second = GeneratorTrainer(SMALL, seed=77)
    second.seed = 2
    second.restore(read_checkpoint(tmp_path / "generator.pt"))
    for image in images[3:]:
        second.step(Images.alone(image))
    assert torch.equal(weights_of(whole), weights_of(second))
    assert whole.adaptation == second.adaptation
    assert torch.equal(whole.path_mean, second.path_mean)
    assert whole.progress.losses == second.progress.losses


def test_a_seed_makes_the_run() -> None:
    """The same seed the same weights, another seed others."""
    made = []
    for seed in (4, 4, 5):
        trainer = GeneratorTrainer(SMALL, seed=seed)
        trainer.step(Images.alone(batches(1)[0]))
        made.append(weights_of(trainer))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_lazy_terms_are_taken_now_and_then() -> None:
    """R1 in steps 0 and 4, path length in steps 0, 2 and 4."""
    trainer = GeneratorTrainer(SMALL, Weights(r1_every=4, path_every=2))
    seen = []
    for image in batches(5):
        trainer.progress.losses.clear()
        trainer.step(Images.alone(image))
        seen.append(("r1" in trainer.progress.losses, "path" in trainer.progress.losses))
    assert seen == [(True, True), (False, False), (False, True), (False, False), (True, True)]


def test_reconstruction_is_learned() -> None:
    """The discs come back better after a few dozen steps than before."""
    trainer = GeneratorTrainer(SMALL, seed=0)
    images = batches(1)[0]

    def error() -> float:
        with torch.no_grad():
            return float(reconstruction_loss(trainer.generator.synthesis(trainer.encoder(images)), images))

    before = error()
    for image in batches(60):
        trainer.step(Images.alone(image))
    assert error() < 0.6 * before


def test_latents_learn_what_differs_at_another_time() -> None:
    """With the anatomy of a slice and the latents of its other, the other comes out: its grey, not the slice's."""
    shape = Shape(size=16, base=4, latent=8, width=64, most=8, mapping=2, anatomy=2, anatomy_size=8)
    trainer = GeneratorTrainer(shape, Weights(alone=200), seed=0)
    first, other = batches(1)[0], batches(1)[0].flip(0)

    def error() -> float:
        with torch.no_grad():
            made = trainer.generator.synthesis(trainer.encoder(other), anatomy=trainer.encoder.anatomy(first))
            return float(reconstruction_loss(made, other))

    before = error()
    for image in batches(120):
        trainer.step(with_other(image, image.flip(0)))
    assert error() < 0.5 * before


@pytest.mark.parametrize("alone", [0, 9])
def test_anatomy_takes_part_with_and_without_a_discriminator(alone: int) -> None:
    """The pyramid's weights and those that take the anatomy in change in either kind of step."""
    shape = Shape(size=16, base=4, latent=8, width=64, most=8, mapping=2, anatomy=2, anatomy_size=8)
    trainer = GeneratorTrainer(shape, Weights(alone=alone), seed=0)
    assert trainer.encoder.pyramid is not None
    given = trainer.generator.synthesis.blocks[1].given
    watched = [trainer.encoder.pyramid.last.weight, given.vectors.weight]  # type: ignore[union-attr]
    before = [weight.detach().clone() for weight in watched]
    image = batches(1)[0]
    trainer.step(with_other(image, image.flip(0)))
    assert not any(torch.equal(a, b) for a, b in zip(before, watched, strict=True))


def test_the_published_way_is_without_reconstruction() -> None:
    """All images of a batch come from random latents then; the encoder learns from generated pairs alone."""
    trainer = GeneratorTrainer(SMALL, Weights(reconstruction=0.0))
    trainer.step(Images.alone(batches(1)[0]))
    assert "reconstruction" not in trainer.progress.losses
    assert "latent" in trainer.progress.losses
