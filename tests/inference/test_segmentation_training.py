"""Training organs: labels stay on their pixels, the loss falls, what was stopped goes on, the bundle can be used."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference.models import load_bundle
from inference.phantom.organs import Organ
from inference.phantom.slices import PhantomSlice
from inference.preprocessing import Grid
from inference.segment import ORGANS, OrganMasks, segment
from inference.training.augmentation import Strength
from inference.training.datasets import ShardPool, read_shard, stored_grid, write_shard
from inference.training.loop import Schedule, read_checkpoint, write_checkpoint
from inference.training.phantoms import MASKS, Order, fill
from inference.training.segmentation_data import MaskAugmentation, MaskBatch, class_table, most_of, pack_masks
from inference.training.segmentation_loop import mask_losses, soft_dice
from inference.training.segmentation_scores import dice, held_out_volumes, mean_dice, series_dice
from inference.training.train_segmentation import (
    WIDTHS,
    SegmentationTraining,
    export,
    new_trainer,
    train_segmentation,
)

GRID = Grid(size=32, pixel_mm=12.0)
AORTA, LIVER = ORGANS.index(Organ.AORTA) + 1, ORGANS.index(Organ.LIVER) + 1


def made(seed: int = 0, size: int = 120) -> PhantomSlice:
    """A body with a bright liver, 400 mm wide."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    labels = np.where(x**2 + y**2 < 0.8, Organ.BODY, Organ.BACKGROUND).astype(np.uint8)
    labels[(x + 0.3) ** 2 + y**2 < 0.13] = Organ.LIVER
    hu = np.select([labels == Organ.LIVER, labels == Organ.BODY], [180.0, 20.0], -1000.0)
    noise = np.random.default_rng(seed).normal(0, 4, hu.shape)
    spacing = 400.0 / size
    return PhantomSlice((hu + noise).astype(np.float32), labels, (spacing, spacing), 0.5, None, None)


def training(network: str = "r2unet", **changed: object) -> SegmentationTraining:
    schedule = Schedule(hours=1.0, batch=4, peak_rate=5e-3, warmup_steps=2, averaging=0.9, most_steps=12)
    small = SegmentationTraining(network, 4, GRID, schedule, workers=0, phantom_shards=0, checked_patients=0)
    return replace(small, **changed)  # type: ignore[arg-type]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A folder with one shard of that body."""
    write_shard(tmp_path / "shards", "one", pack_masks([made(i) for i in range(8)], GRID))
    return tmp_path / "shards"


def test_every_voxel_has_one_class() -> None:
    """The vena cava is one organ above and below the kidneys, hepatic veins are liver, and muscle is nothing."""
    table = class_table()
    assert table[Organ.INFRARENAL_VENA_CAVA] == table[Organ.INFERIOR_VENA_CAVA] > 0
    assert table[Organ.HEPATIC_VEIN] == table[Organ.LIVER] == LIVER
    assert table[Organ.BODY] == table[Organ.BACKGROUND] == table[255] == 0
    assert sorted(set(table)) == list(range(len(ORGANS) + 1))


def test_a_shard_keeps_pictures_and_labels(tmp_path: Path) -> None:
    """And they lie on the same pixels: what is bright is labelled."""
    packed = pack_masks([made()], GRID)
    again = read_shard(write_shard(tmp_path, "one", packed), MaskBatch)
    assert isinstance(again, MaskBatch)
    assert np.array_equal(again.labels, packed.labels)
    assert again.labels.shape == again.hounsfield.shape == (1, *(stored_grid(GRID).size,) * 2)
    assert dice(again.labels == LIVER, again.hounsfield > 100) > 0.95


def test_the_class_that_fills_most_of_a_pixel_is_its_label() -> None:
    """Stripes of one fine pixel in three do not win a coarse one; two in three do."""
    from inference.preprocessing import Placement

    where, coarse = Placement((96, 96), (1.0, 1.0), (47.5, 47.5)), Grid(8, 6.0)
    columns = np.arange(96) % 3
    for share, label in ((1, 0), (2, 1)):
        stripes = np.broadcast_to(columns < share, (96, 96)).astype(np.uint8)
        assert (most_of(stripes, where, coarse) == label).all()


@pytest.mark.parametrize("seed", range(6))
def test_labels_move_with_the_picture(seed: int) -> None:
    """Rotated, scaled, bent and flipped together: what is bright is still what is labelled."""
    only_moved = Strength(gain=0.0, offset=0.0, bias=0.0, noise=0.0, blur=0.0, sharpen=0.0, rare=0.0)
    packed = pack_masks([made(i) for i in range(4)], Grid(96, 4.0))
    augment = MaskAugmentation(96, seed, only_moved)
    image, labels = augment.together(torch.from_numpy(packed.hounsfield), torch.from_numpy(packed.labels))
    assert image.shape == labels.shape == (4, 96, 96)
    assert dice((labels == LIVER).numpy(), (image > 100).numpy()) > 0.93
    assert not torch.equal(labels[0], labels[1])


def test_nothing_is_labelled_where_the_field_of_view_ends() -> None:
    """Rare events always: outside the circle there is air and no organ."""
    packed = pack_masks([made(i) for i in range(16)], Grid(96, 4.0))
    augment = MaskAugmentation(96, 0, Strength(noise=0.0, rare=1.0, shift=40.0))
    augment._clipped = augment._eight_bits = lambda image: image  # type: ignore[method-assign]
    image, labels = augment.together(torch.from_numpy(packed.hounsfield), torch.from_numpy(packed.labels))
    assert (labels[image == -1000] == 0).all()
    assert (labels > 0).any()


def test_the_loss_is_nothing_for_the_truth_and_much_for_its_opposite() -> None:
    """Cross-entropy and one minus Dice."""
    target = torch.from_numpy(pack_masks([made()], GRID).labels).long()
    truth = torch.nn.functional.one_hot(target, 10).permute(0, 3, 1, 2).float() * 40.0
    assert float(sum(mask_losses(truth, target).values())) < 1e-3
    wrong = mask_losses(-truth, target)
    assert float(wrong["dice"]) > 0.7
    assert float(wrong["entropy"]) > 10


def test_a_rare_organ_counts_more(shards: Path) -> None:
    """By the root of how much rarer it is than the background; and not at all where that is not wanted."""
    trainer, pool = new_trainer(training()), ShardPool({shards: 1.0}, 0, MaskBatch)
    pool.wait()
    trainer.weigh(pool, 0.5, slices=64)
    labels = pool.draw(64).labels  # type: ignore[attr-defined]
    assert trainer.class_weights is not None
    assert float(trainer.class_weights[0]) == 1.0
    ratio = (labels == 0).sum() / (labels == LIVER).sum()
    assert float(trainer.class_weights[LIVER]) == pytest.approx(ratio**0.5, rel=0.02)
    assert trainer.class_weights.isfinite().all()
    trainer.weigh(pool, 0.0)
    assert trainer.class_weights is None


def test_dice_counts_the_organs_that_are_shown() -> None:
    """By hand, for one organ that is half right; without any organ there is nothing to lose."""
    target = torch.zeros(1, 10, 20, dtype=torch.long)
    target[0, :, :10] = 2
    probabilities = torch.zeros(1, 4, 10, 20)
    probabilities[0, 2, :, 5:15] = 1.0
    assert soft_dice(probabilities, target).tolist() == [pytest.approx((2 * 50 + 10) / (100 + 100 + 10))]
    assert soft_dice(probabilities, torch.zeros_like(target)).tolist() == [1.0]


@pytest.mark.parametrize("network", WIDTHS)
def test_training_lowers_the_loss_of_every_mask(network: str, shards: Path) -> None:
    """A few steps on one body."""
    torch.manual_seed(0)
    trainer = new_trainer(training(network, width=8))
    pool = ShardPool({shards: 1.0}, 0, MaskBatch)
    pool.wait()
    trainer.augment.strength = Strength(0, (1, 1), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    with torch.no_grad():
        before = {name: float(loss) for name, loss in trainer.losses(pool.draw(8)).items()}
    for _ in range(25):
        trainer.step(pool.draw(4))
    with torch.no_grad():
        after = {name: float(loss) for name, loss in trainer.losses(pool.draw(8)).items()}
    assert set(after) == {"entropy", "dice"} | ({"first entropy", "first dice"} if network == "double-unet" else set())
    assert all(after[name] < 0.75 * before[name] for name in before if "entropy" in name)


def test_a_checkpoint_goes_on_where_it_was(shards: Path, tmp_path: Path) -> None:
    """The same weights, the same step, and other draws than those that were there already."""
    trainer = new_trainer(training())
    pool = ShardPool({shards: 1.0}, 0, MaskBatch)
    pool.wait()
    trainer.step(pool.draw(4))
    write_checkpoint(trainer, tmp_path / "checkpoint.pt")
    again = new_trainer(training(seed=5))
    again.restore(read_checkpoint(tmp_path / "checkpoint.pt"))
    assert again.progress.step == 1
    assert all(torch.equal(a, b) for a, b in zip(trainer.network.parameters(), again.network.parameters(), strict=True))
    assert isinstance(again.augment, MaskAugmentation)


@pytest.mark.parametrize("network", WIDTHS)
def test_what_is_trained_can_be_loaded_and_used(network: str, shards: Path, tmp_path: Path) -> None:
    """The card holds what is needed; weights read again give the same masks; and a second call goes on."""
    out, work = tmp_path / "bundle", tmp_path / "work"
    trained = train_segmentation(out, work, training(network), sources={shards: 1.0}, progress=False)
    loaded = load_bundle(out)
    assert loaded.card == trained.card
    assert (loaded.card.task, loaded.card.network) == ("segmentation", network)
    assert loaded.card.options["steps"] == 12
    (one,) = held_out_volumes(1, seed=3, slices=4, size=64)
    masks = segment(one.volume, loaded)
    assert masks.organs == ORGANS
    assert np.array_equal(masks.labels, segment(one.volume, trained).labels)
    notes: list[str] = []
    train_segmentation(out, work, training(network), sources={shards: 1.0}, progress=False, note=notes.append)
    assert "Going on from step 12" in notes


def test_phantoms_are_written_with_their_labels(tmp_path: Path) -> None:
    """A function of the order's seed; a training alone needs nothing else."""
    order = Order(tmp_path / "phantoms", MASKS, shards=1, seed=3, slices_a_shard=8)
    fill([order], GRID, niceness=0)
    (shard,) = (tmp_path / "phantoms").iterdir()
    first = read_shard(shard, MaskBatch)
    assert isinstance(first, MaskBatch)
    assert first.labels.any()
    again = replace(order, folder=tmp_path / "again")
    fill([again], GRID, niceness=0)
    assert np.array_equal(read_shard(tmp_path / "again" / shard.name, MaskBatch).labels, first.labels)
    trained = train_segmentation(tmp_path / "bundle", tmp_path, training(), progress=False)
    assert trained.card.options["steps"] == 12


def test_the_figures_of_the_card_are_of_held_out_phantoms(tmp_path: Path) -> None:
    """They are called synthetic there."""
    made_of = list(held_out_volumes(1, seed=3, slices=4, size=64))
    bundle = export(tmp_path / "bundle", new_trainer(training()), training(), made_of)
    expected = {organ: round(value, 3) for organ, value in mean_dice(bundle, made_of).items()}
    assert expected
    assert bundle.card.metrics == {"synthetic held-out": {"dice": expected}}


def test_what_half_precision_cannot_hold_is_kept_whole(tmp_path: Path) -> None:
    """A variance of a million would be infinite, and the network blind."""
    trainer = new_trainer(training("mcgunet", width=8))
    trainer.mean.get_buffer("decoder.0.norm.running_var").fill_(1e6)
    made_of = export(tmp_path / "bundle", trainer, training("mcgunet", width=8))
    loaded = load_bundle(tmp_path / "bundle")
    assert (loaded.module.get_buffer("decoder.0.norm.running_var") == 1e6).all()
    assert all(
        torch.equal(a, b)
        for a, b in zip(made_of.module.state_dict().values(), loaded.module.state_dict().values(), strict=True)
    )


def test_the_truth_has_a_dice_of_one() -> None:
    """For every organ that the series shows, and no figure for one that it does not."""
    (one,) = held_out_volumes(1, seed=3, slices=6, size=96)
    perfect = OrganMasks(ORGANS, one.classes[1:], tuple(range(1, 6)))
    found = series_dice(perfect, one.classes)
    assert found
    assert set(found.values()) == {1.0}
    assert Organ.BLADDER not in found


@given(a=arrays(np.bool_, (4, 5)), b=arrays(np.bool_, (4, 5)))
def test_dice_is_symmetrical_and_between_nothing_and_one(a: np.ndarray, b: np.ndarray) -> None:
    """And one only for equal masks."""
    assert dice(a, b) == dice(b, a)
    assert 0.0 <= dice(a, b) <= 1.0
    assert (dice(a, b) == 1.0) == bool((a == b).all())


@given(st.sampled_from(["phase-classifier", "unet", ""]))
def test_another_network_is_refused(name: str) -> None:
    """With the names of those that there are."""
    with pytest.raises(ValueError, match="double-unet, r2unet, mcgunet"):
        new_trainer(SegmentationTraining(network=name))
