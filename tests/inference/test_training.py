"""Training: shards, changes that keep the truth, a loop that resumes, patients that are never split."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import CannotJudge
from inference.models import load_bundle
from inference.networks.classifier import PhaseClassifier, SliceOutputs
from inference.phases import PHASES, Calibration, Phase, SliceAnswers, aggregate
from inference.preprocessing import Grid, channels
from inference.training.augmentation import Augmentation, Strength
from inference.training.calibration import calibrate, log_loss
from inference.training.datasets import NO_PHASE, Batch, Sample, ShardPool, pack, read_shard, stored_grid, write_shard
from inference.training.loop import Schedule, Trainer, read_checkpoint, slice_losses, windowed, write_checkpoint
from inference.training.own_data import TRAINING, VALIDATION, Labelled, part_of, write_own
from inference.training.phantoms import OUTLIERS, SLICES, Order, fill
from inference.training.train_phase import Training, train_phase
from inference.volume import Volume

GRID = Grid(size=32, pixel_mm=10.0)


def sample(level: float, phase: Phase | None, in_scope: bool = True, seed: int = 0) -> Sample:
    """A noisy disc of one HU level."""
    y, x = np.mgrid[-1:1:60j, -1:1:60j]
    noise = np.random.default_rng(seed).normal(0, 5, (60, 60))
    return Sample(np.float32(np.where(y**2 + x**2 < 0.6, level, -1000) + noise), (5.0, 5.0), phase, None, in_scope)


def batch(count: int = 8) -> Batch:
    """Arterial is 250 HU here and unenhanced is 40."""
    made = [sample(250.0 if i % 2 else 40.0, PHASES[i % 2], seed=i) for i in range(count)]
    return pack(made, GRID)


def small_trainer(seed: int = 0) -> Trainer:
    torch.manual_seed(seed)
    network = PhaseClassifier(3, 8, (1, 1, 1, 1))
    return Trainer(network, GRID, Schedule(batch=8, warmup_steps=5), seed)


def test_a_shard_keeps_what_was_written(tmp_path: Path) -> None:
    """Pictures and truth come back as they were, and a slice without a phase says so."""
    made = pack([sample(40, Phase.DELAYED), sample(90, None, in_scope=False)], GRID)
    again = read_shard(write_shard(tmp_path, "one", made))
    assert np.array_equal(again.hounsfield, made.hounsfield)
    assert made.hounsfield.shape[1:] == (stored_grid(GRID).size,) * 2
    assert list(again.phase) == [PHASES.index(Phase.DELAYED), NO_PHASE]
    assert list(again.scope) == [1, 0]


def test_a_pool_finds_new_shards_and_keeps_its_shares(tmp_path: Path) -> None:
    """Shards that come later are used, half-written ones are not, and each folder has its share of what is drawn."""
    a, b = tmp_path / "a", tmp_path / "b"
    pool = ShardPool({a: 0.25, b: 0.75}, seed=1)
    assert pool.look() == 0
    with pytest.raises(ValueError, match="no training data"):
        pool.draw(4)
    write_shard(a, "x", pack([sample(40, Phase.ARTERIAL)], GRID))
    write_shard(b, "y", pack([sample(40, Phase.DELAYED)], GRID))
    (b / ".z.1").mkdir()
    assert pool.look() == 2
    drawn = pool.draw(400)
    assert (drawn.phase == PHASES.index(Phase.DELAYED)).mean() == pytest.approx(0.75, abs=0.08)


def test_no_data_is_not_waited_for_without_end(tmp_path: Path) -> None:
    """Workers that fail do not leave a person waiting."""
    with pytest.raises(TimeoutError, match="no training slices"):
        ShardPool({tmp_path: 1.0}, 0).wait(pause_seconds=0.01, patience_seconds=0.05)


def test_augmentation_without_strength_is_the_middle_of_the_picture() -> None:
    """Every change is off at zero strength: what remains is the crop."""
    none = Strength(0, (1, 1), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    image = torch.from_numpy(batch(2).hounsfield)
    assert image.shape[-1] == 38
    without = Augmentation(32, 0, none)
    without._uniform = lambda count, low, high: torch.full((count, 1, 1, 1), (low + high) / 2)  # type: ignore[method-assign]
    changed = without(image)
    assert torch.allclose(changed, image[:, 3:-3, 3:-3].float(), atol=0.5)


def test_augmentation_is_a_function_of_its_seed() -> None:
    """The same seed changes a batch in the same way, another seed in another."""
    image = torch.from_numpy(batch(4).hounsfield)
    assert torch.equal(Augmentation(32, 7)(image), Augmentation(32, 7)(image))
    assert not torch.equal(Augmentation(32, 7)(image), Augmentation(32, 8)(image))


@given(seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_augmentation_gives_what_a_scanner_could_store(seed: int) -> None:
    """At full strength all values stay finite and within the range of CT."""
    changed = Augmentation(32, seed, Strength(rare=1.0))(torch.from_numpy(batch(4).hounsfield))
    assert changed.shape == (4, 32, 32)
    assert torch.isfinite(changed).all()
    assert changed.min() >= -1024
    assert changed.max() <= 3071


def test_training_sees_what_judging_sees() -> None:
    """Windows are the same in torch and in numpy."""
    image = np.random.default_rng(0).normal(0, 500, (2, 8, 8)).astype(np.float32)
    assert np.allclose(windowed(torch.from_numpy(image), GRID).numpy(), channels(image, GRID.windows), atol=1e-6)


def test_the_loop_learns() -> None:
    """Forty steps on two easily told phases tell them apart."""
    trainer, easy = small_trainer(), batch(16)
    for _ in range(40):
        trainer.step(easy)
    with torch.inference_mode():
        middle = torch.from_numpy(easy.hounsfield[:, 3:-3, 3:-3].astype(np.float32))
        trainer.network.eval()
        logits = trainer.network(windowed(middle, GRID))
    assert (logits[:, :2].argmax(1).numpy() == easy.phase).mean() > 0.9


def test_training_goes_on_where_it_was(tmp_path: Path) -> None:
    """A checkpoint restores weights, averages, optimiser and step; the next run continues counting."""
    trainer = small_trainer()
    for _ in range(3):
        trainer.step(batch())
    write_checkpoint(trainer, tmp_path / "c.pt")
    other = small_trainer(seed=9)
    other.restore(read_checkpoint(tmp_path / "c.pt"))
    assert other.progress.step == 3
    for a, b in zip(other.state()["mean"].values(), trainer.state()["mean"].values(), strict=True):
        assert torch.equal(a, b)
    other.step(batch())
    assert other.progress.step == 4


def test_what_is_not_known_is_not_learned() -> None:
    """Slices without a phase or a time add nothing to these parts of the loss."""
    outputs = SliceOutputs(torch.zeros(2, 4), torch.zeros(2, 2), torch.zeros(2))
    losses = slice_losses(outputs, pack([sample(40, None), sample(40, None, False)], GRID), 0.0)
    assert float(losses["phase"]) == float(losses["timing"]) == 0.0
    assert float(losses["scope"]) > 0.0


def answers(logit: float, right: int, of: int) -> list[tuple[SliceAnswers, Phase]]:
    """`of` series that all answer arterial with `logit`, of which `right` are."""
    said = SliceAnswers(np.tile([0, logit, 0, 0], (20, 1)).astype(float), np.zeros((20, 2)), np.ones(20), 5.0)
    return [(said, Phase.ARTERIAL if i < right else Phase.DELAYED) for i in range(of)]


def test_calibration_tempers_answers_that_are_too_sure() -> None:
    """Series that are right in seven of ten are not said to be right in 99 of 100."""
    made = answers(8.0, 7, 10)
    calibrated = calibrate(made)
    assert aggregate(made[0][0], Calibration()).confidence > 0.95
    assert aggregate(made[0][0], calibrated).confidence < 0.85
    assert log_loss(made, calibrated) < log_loss(made, Calibration())


def test_calibration_finds_where_delayed_begins() -> None:
    """A network that takes portal venous for slightly delayed is corrected; in-between series count little."""
    lead = {Phase.PORTAL_VENOUS: -0.6, Phase.DELAYED: 1.6}
    made = [
        (SliceAnswers(np.tile([-5, -5, 0, by], (20, 1)).astype(float), np.zeros((20, 2)), np.ones(20), 5.0), phase)
        for phase, centre in lead.items()
        for by in centre + np.linspace(-0.9, 0.9, 9)
    ]
    between = [(made[0][0], {Phase.PORTAL_VENOUS: 0.5, Phase.DELAYED: 0.5})]
    calibrated = calibrate(made)
    assert calibrated.late_border > 0.0
    assert log_loss(made + between, calibrated) < log_loss(made + 10 * between, calibrated)


def test_a_declined_series_does_not_stop_calibration() -> None:
    """What is out of scope counts as knowing nothing."""
    head = SliceAnswers(np.zeros((5, 4)), np.zeros((5, 2)), np.zeros(5), 5.0)
    with pytest.raises(CannotJudge):
        aggregate(head)
    assert log_loss([(head, Phase.ARTERIAL)], Calibration()) == pytest.approx(np.log(4))


@given(st.lists(st.text(max_size=8), min_size=1, max_size=50), st.integers(0, 99), st.floats(0, 1))
@settings(deadline=None)
def test_a_patient_is_never_on_both_sides(patients: list[str], seed: int, share: float) -> None:
    """The part of a patient depends on the patient alone, not on the series or on who else is there."""
    parts = {patient: part_of(patient, share, seed) for patient in patients}
    assert all(part_of(patient, share, seed) == part for patient, part in parts.items())
    assert set(parts.values()) <= {TRAINING, VALIDATION}


def test_the_split_follows_the_share() -> None:
    """A fifth of many patients is kept for validation."""
    kept = sum(part_of(f"patient {i}", 0.2, 0) == VALIDATION for i in range(2000))
    assert kept == pytest.approx(400, abs=60)


def own_series(patient: str) -> Labelled:
    return Labelled(patient, Volume.from_array(np.full((12, 40, 40), 50, np.float32), (5, 8, 8)), Phase.ARTERIAL)


def test_own_series_are_written_without_names(tmp_path: Path) -> None:
    """No file or folder bears a patient's name, and validation patients leave no slices."""
    series = [own_series(f"MUSTERMANN{i}") for i in range(20)]
    kept = write_own(tmp_path, series, GRID, validation_share=0.3, most_slices=5)
    shards = list(tmp_path.iterdir())
    assert len(shards) + len(kept) == 20
    assert kept
    assert not any("MUSTERMANN" in str(path) for path in tmp_path.rglob("*"))
    assert all(part_of(one.patient, 0.3, 0) == VALIDATION for one in kept)
    assert len(read_shard(shards[0]).phase) == 5


def test_an_import_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """What is there is not read again."""
    series = own_series("a")
    write_own(tmp_path, [series], GRID, validation_share=0.0)
    unreadable = Labelled("a", Volume(series.volume.slice_ids, series.volume.positions_mm, (40, 40), (8, 8), no_read),
                          Phase.ARTERIAL)  # fmt: skip
    assert write_own(tmp_path, [unreadable], GRID, validation_share=0.0) == ()


def no_read(index: int) -> np.ndarray:
    raise AssertionError(f"slice {index} was read again")


def test_phantom_shards_are_made_once(tmp_path: Path) -> None:
    """A shard is a function of its order: made again it is the same, and it is not made again when it is there."""
    orders = [
        Order(tmp_path / "s", SLICES, 1, 5, slices_a_shard=6),
        Order(tmp_path / "o", OUTLIERS, 1, 5, slices_a_shard=4),
    ]
    fill(orders, GRID, niceness=0)
    first = read_shard(tmp_path / "s" / "000005-00000")
    assert (first.scope == 1).all()
    assert (read_shard(tmp_path / "o" / "000005-00000").scope == 0).all()
    fill(orders, GRID, niceness=0)
    again = Order(tmp_path / "again", SLICES, 1, 5, slices_a_shard=6)
    fill([again], GRID, niceness=0)
    assert np.array_equal(first.hounsfield, read_shard(tmp_path / "again" / "000005-00000").hounsfield)


@pytest.mark.slow
def test_a_bundle_comes_out(tmp_path: Path) -> None:
    """From phantoms and a few labelled series to a bundle that loads, validated by patient; and again, resumed."""
    training = Training(
        Schedule(batch=4, most_steps=2, hours=0.01), Grid(size=48, pixel_mm=8.0), 4, (1, 1, 1, 1),
        workers=0, calibration_studies=1, validation_share=0.5, version="test",
    )  # fmt: skip
    fill([Order(tmp_path / "work" / "phantoms", SLICES, 1, 0, slices_a_shard=8)], training.grid, niceness=0)
    own = [own_series(f"patient {i}") for i in range(6)]
    trained = train_phase(tmp_path / "bundle", tmp_path / "work", training, own=own, progress=False)
    assert trained.validation is not None
    assert load_bundle(tmp_path / "bundle").card == trained.card
    assert trained.card.options["steps"] == 2
    assert "validation" in trained.card.metrics
    said: list[str] = []
    train_phase(tmp_path / "bundle", tmp_path / "work", training, own=own, progress=False, note=said.append)
    assert "Going on from step 2" in said
