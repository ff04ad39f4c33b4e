"""What tissues teach a generator: where things are, how bright they are, and that contrast does not move the rest."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from inference.networks.stylegan2 import Shape
from inference.phantom.organs import PHASE_BEARING, Organ
from inference.phantom.tissues import STILL, UNKNOWN, Tissue, tissue_table
from inference.training.generator_data import Images
from inference.training.generator_lesson import (
    MOST_EVENED,
    Lesson,
    evened,
    exchange_losses,
    moving_levels,
    tissue_losses,
)
from inference.training.generator_loop import GeneratorTrainer, Weights
from inference.training.generator_losses import level_loss, levels, shares_of, stirring, tissue_loss

COUNT = len(Tissue)


def halves(left: Tissue, right: Tissue, count: int = 1, size: int = 8) -> torch.Tensor:
    """tissue[slice, row, column]: one left, the other right."""
    tissue = torch.full((count, size, size), int(left), dtype=torch.uint8)
    tissue[:, :, size // 2 :] = int(right)
    return tissue


def painted(tissue: torch.Tensor, levels_of: dict[Tissue, float]) -> torch.Tensor:
    """image[slice, 1, row, column] in which each tissue has its level."""
    image = torch.zeros(tissue.shape)
    for one, level in levels_of.items():
        image[tissue == int(one)] = level
    return image[:, None]


def test_every_organ_that_tells_the_phase_is_a_tissue_that_contrast_reaches() -> None:
    """And nothing but the background is unknown."""
    table = tissue_table()
    assert not {table[organ] for organ in PHASE_BEARING} & {*map(int, STILL), int(Tissue.SOFT), UNKNOWN}
    assert [organ for organ in Organ if table[organ] == UNKNOWN] == [Organ.BACKGROUND]
    assert set(np.unique(table[list(Organ)])) == {*range(COUNT), UNKNOWN}


def test_shares_are_those_of_the_finer_pixels() -> None:
    """A pixel that is half liver and half unknown is half liver; what is unknown is nothing."""
    tissue = halves(Tissue.LIVER, Tissue.BONE, size=4)
    tissue[:, :, 0] = UNKNOWN
    found = shares_of(tissue, COUNT, 2)
    assert found.shape == (1, COUNT, 2, 2)
    assert found[0, Tissue.LIVER].tolist() == [[0.5, 0.0]] * 2
    assert found[0, Tissue.BONE].tolist() == [[0.0, 1.0]] * 2
    assert float(found.sum()) == 3.0


def test_the_tissue_loss_is_a_cross_entropy_that_passes_over_the_unknown() -> None:
    """Equal shares cost log(count); the truth costs nothing; what is said of unknown pixels does not count."""
    truth = shares_of(halves(Tissue.LIVER, Tissue.BONE), COUNT, 8)
    even = torch.full_like(truth, 1 / COUNT)
    assert float(tissue_loss(even, truth)) == pytest.approx(math.log(COUNT), abs=1e-3)
    assert float(tissue_loss(truth, truth)) == pytest.approx(0.0, abs=1e-4)
    truth[..., 4:] = 0.0
    wrong = even.clone()
    wrong[:, :, :, 4:] = 1e-3
    assert float(tissue_loss(wrong, truth)) == pytest.approx(float(tissue_loss(even, truth)))


def test_a_rare_tissue_counts_more_than_its_pixels() -> None:
    """Missing a vessel of 1 pixel in 64 costs more than a 64th of missing all."""
    tissue = torch.full((1, 8, 8), int(Tissue.LIVER), dtype=torch.uint8)
    tissue[0, 3, 3] = int(Tissue.ARTERY)
    truth = shares_of(tissue, COUNT, 8)
    missed = truth.clone()
    missed[0, :, 3, 3] = 0.0
    missed[0, Tissue.LIVER, 3, 3] = 1.0
    everything = torch.zeros_like(truth)
    everything[0, Tissue.BONE] = 1.0
    assert float(tissue_loss(missed, truth)) > 3 / 64 * float(tissue_loss(everything, truth))


@pytest.mark.parametrize(("size", "least"), [(128, 4), (64, 1)])
def test_levels_are_means_within_a_tissue_where_there_is_enough_of_it(size: int, least: int) -> None:
    """A pixel of 64 x 64 or as much of finer ones is enough, and one fine pixel less is not."""
    tissue = halves(Tissue.LIVER, Tissue.BONE, size=128)
    for fine, there in ((4, True), (3, False)):
        tissue[0, 0, :4] = int(Tissue.LIVER)
        tissue[0, 0, :fine] = int(Tissue.ARTERY)
        image = painted(tissue, {Tissue.LIVER: 0.25, Tissue.BONE: 1.0, Tissue.ARTERY: 0.25})
        found, known = levels(image, shares_of(tissue, COUNT, size))
        assert bool(known[0, Tissue.ARTERY]) == there
        assert [float(found[0, t]) for t in (Tissue.BONE, Tissue.LIVER)] == pytest.approx([1.0, 0.25])
        assert float(found[0, Tissue.ARTERY]) == pytest.approx(0.25)
    assert float(level_loss(found, found + 0.5 * known, known)) == pytest.approx(0.5)


def test_only_tissues_that_contrast_reaches_are_to_follow() -> None:
    """Bone has a level, and is not to take another patient's."""
    tissue = halves(Tissue.LIVER, Tissue.BONE)
    image, truth = painted(tissue, {Tissue.LIVER: 0.25, Tissue.BONE: 1.0}), shares_of(tissue, COUNT, 8)
    assert levels(image, truth)[1][0].nonzero()[:, 0].tolist() == [int(Tissue.BONE), int(Tissue.LIVER)]
    assert moving_levels(image, truth)[1][0].nonzero()[:, 0].tolist() == [int(Tissue.LIVER)]


def test_a_change_counts_more_where_little_else_changes_in_its_slice() -> None:
    """Up to a limit; what changes more than the others counts as it is, and no change stays none."""
    change = torch.zeros(4, 1, 4, 4)
    for index, amount in enumerate((1.0, 0.1, 1e-6)):
        change[index, 0, 0, 0] = amount
    found = evened(change)[:, 0, 0, 0] / change[:, 0, 0, 0].clamp(min=1e-12)
    assert float(found[0]) == 1.0
    assert 1.0 < float(found[1]) < MOST_EVENED
    assert float(found[2]) == pytest.approx(MOST_EVENED)
    assert float(evened(change)[3].sum()) == 0.0


def test_stirring_looks_at_still_pixels_alone() -> None:
    """A change elsewhere costs nothing."""
    image, still = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    still[..., :2] = 1.0
    changed = image.clone()
    changed[..., 2:] = 1.0
    assert float(stirring(changed, image, still)) == 0.0
    changed[..., :2] = 0.5
    assert float(stirring(changed, image, still)) == pytest.approx(0.5)


def lesson(same: float = 0.0) -> Lesson:
    """Two patients: a liver that another time makes brighter, beside bone."""
    tissue = halves(Tissue.LIVER, Tissue.BONE, count=2)
    real = torch.cat([painted(tissue[:1], {Tissue.LIVER: level, Tissue.BONE: 0.9}) for level in (0.0, 0.1)])
    other = torch.cat([painted(tissue[:1], {Tissue.LIVER: level, Tissue.BONE: 0.9}) for level in (0.3, 0.6)])
    return Lesson.of(Images(real, other, tissue), same, 10.0, 8, torch.Generator().manual_seed(0))


def test_what_is_wanted_is_the_other_and_counts_more_where_it_differs() -> None:
    """With `same` 1 it is the slice itself."""
    taught = lesson()
    assert torch.equal(taught.wanted[:, 0, 0, 0], torch.tensor([0.3, 0.6]))
    assert float(taught.counts[0, 0, 4, 1]) > 3.0
    assert float(taught.counts[0, 0, 4, 7]) == pytest.approx(1.0)
    assert torch.equal(lesson(same=1.0).wanted, taught.real)


def test_with_another_patients_latents_the_tissues_take_that_patients_levels() -> None:
    """The first slice made with the second's latents: its liver is to be 0.6, its bone to stay as made."""
    taught = lesson()
    right = painted(halves(Tissue.LIVER, Tissue.BONE), {Tissue.LIVER: 0.6, Tissue.BONE: 0.9})
    found = exchange_losses(taught, right, taught.wanted)
    assert float(found["exchange"]) == pytest.approx(0.0, abs=1e-6)
    assert float(found["stir"]) == pytest.approx(0.0, abs=1e-6)
    own = exchange_losses(taught, taught.wanted[:1], taught.wanted)
    assert float(own["exchange"]) == pytest.approx(0.3, abs=1e-6)
    assert float(exchange_losses(taught, right + 0.2, taught.wanted)["stir"]) == pytest.approx(0.2, abs=1e-6)
    assert float(exchange_losses(taught, right, taught.wanted - 0.1)["stir"]) == pytest.approx(0.1, abs=1e-6)


def test_levels_are_read_from_what_is_wanted() -> None:
    """Not from the slice that lends the anatomy."""
    taught = lesson()
    read = torch.zeros(2, COUNT)
    read[:, Tissue.LIVER], read[:, Tissue.BONE] = torch.tensor([0.3, 0.6]), 0.9
    found = tissue_losses(taught, [taught.truth], read)
    assert float(found["level"]) == pytest.approx(0.0, abs=1e-6)
    assert float(found["tissue"]) == pytest.approx(0.0, abs=1e-3)


def test_tissues_are_learned_and_filled() -> None:
    """After some steps the anatomy says which half is liver, and a swap of latents changes the liver, not the bone."""
    shape = Shape(size=16, base=4, latent=8, width=128, most=16, mapping=2, anatomy=22, tissues=COUNT, anatomy_size=8)
    trainer = GeneratorTrainer(shape, Weights(alone=999), seed=0)
    tissue = halves(Tissue.LIVER, Tissue.BONE, count=8, size=16)
    random = torch.Generator().manual_seed(1)

    def images() -> Images:
        bright = torch.rand((2, 8), generator=random)
        real, other = (
            torch.cat([painted(tissue[:1], {Tissue.LIVER: float(b), Tissue.BONE: -0.5}) for b in row]) for row in bright
        )
        return Images(real, other, tissue)

    for _ in range(200):
        trainer.step(images())
    with torch.no_grad():
        given = replace(images(), tissue=tissue)
        latents, anatomy = trainer.mean_encoder.code(given.real)
        drawn = (trainer.mean_generator.synthesis(w, anatomy=anatomy) for w in (latents, latents.roll(1, dims=0)))
        own, made = drawn
    assert anatomy is not None
    assert float(anatomy[:, Tissue.LIVER, :, :4].mean()) > 0.7
    assert torch.allclose(anatomy[:, :COUNT].sum(dim=1), torch.ones(8, 8, 8), atol=1e-5)
    wanted = given.real.roll(1, dims=0)
    assert float((made - wanted)[..., 1:7].abs().mean()) < 0.15
    assert float((made - own)[..., 1:5].abs().mean()) > 0.2
    assert float((made - own)[..., 11:15].abs().mean()) < 0.15
