"""From slices to a generator's bundle: resumed where it was stopped, and loaded as the node loads it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.counterfactual.fitting import Fitting
from inference.counterfactual.model import CounterfactualModel
from inference.counterfactual.view import View
from inference.models import Bundle, ModelCard, load_bundle
from inference.networks.classifier import PhaseClassifier
from inference.networks.stylegan2 import Shape
from inference.phantom.organs import Organ
from inference.phantom.tissues import UNKNOWN, Tissue
from inference.phases import PHASES
from inference.preprocessing import Grid
from inference.training.datasets import Sample, ShardPool, pack, write_shard
from inference.training.generator_data import Pair, PairBatch, drawn_images, middle_images, pack_alone, pack_pairs
from inference.training.generator_loop import Weights
from inference.training.generator_sheet import tiled
from inference.training.own_data import Labelled
from inference.training.train_generator import GeneratorTraining, train_generator
from inference.volume import Volume

VIEW = View(size=16, pixel_mm=25.0)
TRAINING = GeneratorTraining(
    batch=4,
    view=VIEW,
    shape=Shape(
        size=16, base=4, latent=6, width=64, most=8, mapping=1, anatomy=22, tissues=len(Tissue), anatomy_size=8
    ),
    weights=Weights(alone=1),
    fitting=Fitting(samples=16, images=12),
    workers=0,
    most_steps=3,
    phantom_shards=0,
)


def explained() -> Bundle:
    torch.manual_seed(0)
    module = PhaseClassifier(3, 4, (1, 1, 1, 1)).eval().requires_grad_(False)
    options = {**Grid(size=32, pixel_mm=12.5).as_options(), "width": 4, "blocks": [1, 1, 1, 1]}
    return Bundle(ModelCard("phase", "1", "phase", "phase-classifier", "abc", "", "", "", {}, options), module)


def shards(folder: Path, count: int = 12) -> Path:
    """Discs of different grey, each with another that is brighter; the disc is liver and the rest nobody knows."""
    labels = (disc(0.0).hounsfield > -500).astype(np.uint8) * np.uint8(Organ.LIVER)
    pairs = [Pair(disc(20.0 * i), disc(20.0 * i + 100.0), labels) for i in range(count)]
    write_shard(folder / "phantoms", "one", pack_pairs(pairs, VIEW.grid))
    return folder


def disc(grey: float) -> Sample:
    y, x = np.mgrid[-1:1:60j, -1:1:60j]
    inside = (x**2 + y**2 < 0.5).astype(np.float32)
    return Sample(inside * (1000.0 + grey) - 1000.0, (7.0, 7.0), PHASES[0], None, True)


def test_a_generator_is_trained_stopped_and_finished(tmp_path: Path) -> None:
    """Steps go on from the checkpoint; card, sheets and log are there; the bundle explains its own model."""
    work = shards(tmp_path / "work")
    card = train_generator(tmp_path / "out", work, explained(), TRAINING, progress=False)
    assert card.options["steps"] == 3
    assert card.task == "generator"
    more = GeneratorTraining(**{**vars(TRAINING), "most_steps": 5})
    card = train_generator(tmp_path / "out", work, explained(), more, progress=False)
    assert (card.options["steps"], card.options["images"]) == (5, 20)
    rows = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    taught = {"reconstruction", "tissue", "level", "exchange", "stir"}
    assert {"step", "generator", "discriminator", "augmentation"} | taught <= set(rows[-1])
    assert {path.name for path in (work / "sheets").iterdir()} >= {"000005-samples.png", "000005-again.png"}
    found = CounterfactualModel.of(load_bundle(tmp_path / "out"), explained())
    assert found.images(torch.zeros(1, 3, 6), torch.zeros(1, 22, 8, 8)).shape == (1, 16, 16)
    assert card.data.startswith("Synthetic CT")


def test_handed_in_series_are_learned_from_without_their_labels(tmp_path: Path) -> None:
    """Their share of every batch comes from shards below `own`, whose names say nothing of the patient."""
    volume = Volume.from_array(np.full((6, 40, 40), 50.0, np.float32), (5.0, 8.0, 8.0))
    heard: list[str] = []
    train_generator(
        tmp_path / "out",
        shards(tmp_path / "work"),
        explained(),
        TRAINING,
        own=[Labelled("MISTER X", volume, None)],
        progress=False,
        note=heard.append,
    )
    (kept,) = (tmp_path / "work" / "own").iterdir()
    assert "MISTER" not in kept.name
    assert heard[-1] == "Fitting the directions"


def test_a_batch_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    """Whatever was drawn before; another step is another batch, moved by a few pixels at most."""
    pool = ShardPool({shards(tmp_path) / "phantoms": 1.0}, seed=0, kind=PairBatch)
    pool.look()
    first = drawn(pool, 7)
    drawn(pool, 8)
    assert torch.equal(first, drawn(pool, 7))
    assert not torch.equal(first, drawn(pool, 9))
    middle = middle_images(pool, VIEW, 8, seed=1)
    assert middle.shape == (8, 1, 16, 16)
    columns = (middle > 0).float().mean(dim=(0, 1, 2))
    centre = float((columns * torch.arange(16)).sum() / columns.sum())
    assert centre == pytest.approx(7.5, abs=1.5)


def drawn(pool: ShardPool, step: int) -> torch.Tensor:
    """Slices and their others, in one."""
    images = drawn_images(pool, VIEW, 4, seed=3, step=step)
    return torch.stack([images.real, images.other])


def test_both_of_a_pair_are_cut_alike(tmp_path: Path) -> None:
    """Where one is body the other is, brighter by what it was painted with, and so are its tissues.

    Alone a slice is its own other, and nobody knows what it is made of.
    """
    pool = ShardPool({shards(tmp_path) / "phantoms": 1.0}, seed=0, kind=PairBatch)
    pool.look()
    images = drawn_images(pool, VIEW, 6, seed=0, step=0)
    brighter = (VIEW.hounsfield(images.other) - VIEW.hounsfield(images.real))[images.real > -0.4]
    assert float(brighter.median()) == pytest.approx(100.0, abs=2.0)
    assert set(images.tissue.unique().tolist()) == {int(Tissue.LIVER), UNKNOWN}
    within = images.real[:, 0] > -0.4
    assert float((images.tissue == Tissue.LIVER)[within].float().mean()) > 0.95
    assert float((images.tissue == UNKNOWN)[images.real[:, 0] <= -0.99].float().mean()) > 0.9
    alone = pack_alone([disc(0.0), disc(50.0)], VIEW.grid)
    assert np.array_equal(alone.other, alone.hounsfield)
    assert np.all(alone.tissue == UNKNOWN)


def test_single_slices_are_no_pairs(tmp_path: Path) -> None:
    """Shards of another training are refused."""
    write_shard(tmp_path / "phantoms", "one", pack([disc(0.0)], VIEW.grid))
    pool = ShardPool({tmp_path / "phantoms": 1.0}, seed=0)
    pool.look()
    with pytest.raises(TypeError, match="pairs"):
        drawn_images(pool, VIEW, 1, seed=0, step=0)


@pytest.mark.parametrize(("count", "shape"), [(8, (34, 68)), (5, (34, 68)), (4, (17, 68))])
def test_a_sheet_has_all_images_in_rows(count: int, shape: tuple[int, int]) -> None:
    """Four to a row, a dark line between."""
    sheet = tiled(torch.ones(count, 1, 16, 16), columns=4)
    assert sheet.shape == shape
    assert int((sheet == 255).sum()) == count * 256


def test_a_gpu_is_given_the_explained_models_own_pixels() -> None:
    """The same field at a higher resolution, and what is asked for besides."""
    small, large = (GeneratorTraining.fitting_to(device, hours=3.0) for device in ("cpu", "cuda"))
    assert (small.view.size, large.view.size) == (128, 160)
    assert small.view.size * small.view.pixel_mm == large.view.size * large.view.pixel_mm == 400.0
    assert all(training.shape.size == training.view.size for training in (small, large))
    assert small.hours == large.hours == 3.0
