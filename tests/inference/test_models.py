"""A bundle is loaded only when its weights are what its card says."""

import json
from pathlib import Path

import pytest
import torch

from inference.errors import InvalidBundle
from inference.models import (
    CARD_FILE,
    WEIGHTS_FILE,
    ModelCard,
    default_bundle_path,
    load_bundle,
    load_card,
    save_bundle,
)
from inference.networks.classifier import PhaseClassifier
from inference.preprocessing import Grid

OPTIONS = {**Grid(size=32).as_options(), "width": 4, "blocks": [1, 1, 1, 1]}


def card(**changes: object) -> ModelCard:
    values = {"name": "tiny", "version": "0", "task": "phase", "network": "phase-classifier", "weights_sha256": ""}
    words = {"intended_use": "tests", "limits": "all", "data": "none", "options": OPTIONS}
    return ModelCard(**{**values, **words, **changes})  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_bundle(tmp_path / "bundle", card(), PhaseClassifier(3, 4, (1, 1, 1, 1)))
    return tmp_path / "bundle"


def test_what_is_saved_is_loaded(folder: Path) -> None:
    """The loaded network answers as the saved one did, to half precision, in evaluation mode."""
    torch.manual_seed(0)
    saved = PhaseClassifier(3, 4, (1, 1, 1, 1)).eval()
    loaded = load_bundle(folder)
    inputs = torch.randn(2, 3, 32, 32)
    assert torch.allclose(loaded.module(inputs), saved(inputs), atol=5e-3)
    assert not loaded.module.training
    assert {p.dtype for p in loaded.module.parameters()} == {torch.float32}


def test_one_changed_byte_is_found(folder: Path) -> None:
    """Altered weights are refused."""
    weights = bytearray((folder / WEIGHTS_FILE).read_bytes())
    weights[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(bytes(weights))
    with pytest.raises(InvalidBundle, match="not its card's"):
        load_bundle(folder)


@pytest.mark.parametrize("missing", [CARD_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    """Half a bundle is refused with the name of what is missing."""
    (folder / missing).unlink()
    with pytest.raises(InvalidBundle, match=missing):
        load_bundle(folder)


def test_a_card_that_is_none_is_refused(folder: Path) -> None:
    """JSON that is no card, and text that is no JSON, are refused."""
    for text in ('{"name": "x"}', "[]", "not json"):
        (folder / CARD_FILE).write_text(text)
        with pytest.raises(InvalidBundle, match="not a model card"):
            load_card(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": "transformer"}, "not known"),
        ({"options": {"width": 4}}, "does not describe"),
        ({"options": {**OPTIONS, "width": 8}}, "do not fit"),
    ],
)
def test_a_card_for_another_network_is_refused(folder: Path, change: dict[str, object], said: str) -> None:
    """Weights are never put into a network that they were not trained in."""
    values = json.loads((folder / CARD_FILE).read_text()) | change
    (folder / CARD_FILE).write_text(json.dumps(values))
    with pytest.raises(InvalidBundle, match=said):
        load_bundle(folder)


def test_a_bundle_is_replaced_whole(folder: Path) -> None:
    """Saving over a bundle leaves the new one and nothing else beside it."""
    save_bundle(folder, card(version="1"), PhaseClassifier(3, 4, (1, 1, 1, 1)))
    assert load_bundle(folder).card.version == "1"
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_the_shipped_bundle_is_whole_and_small() -> None:
    """The bundle in the package loads and its weights are below 30 MB."""
    path = default_bundle_path("phase")
    bundle = load_bundle(path)
    assert bundle.card.task == "phase"
    assert (path / WEIGHTS_FILE).stat().st_size < 30e6


def test_the_shipped_generator_explains_the_shipped_model() -> None:
    """It loads, its directions were learned from these weights' answers, and it takes at most 40 MB."""
    path = default_bundle_path("counterfactual")
    bundle = load_bundle(path)
    assert bundle.card.task == "generator"
    assert bundle.card.options["explains"] == load_bundle(default_bundle_path("phase")).card.weights_sha256
    assert (path / WEIGHTS_FILE).stat().st_size < 40e6
