"""One series' maps go to files that say what they are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inference.explain.series import explain_series
from inference.models import Bundle, ModelCard
from inference.networks.classifier import PhaseClassifier
from inference.phases import Phase
from inference.preprocessing import Grid
from inference.volume import Volume

GRID = Grid(size=48, pixel_mm=8.0)


@pytest.fixture
def bundle() -> Bundle:
    torch.manual_seed(3)
    network = PhaseClassifier(len(GRID.windows), width=4, blocks=(1, 1, 1, 1)).eval()
    options = GRID.as_options() | {"width": 4, "blocks": [1, 1, 1, 1]}
    card = ModelCard("phase-net", "0.1", "phase", "phase-classifier", "ab" * 32, "", "", "", options=options)
    return Bundle(card, network)


@pytest.fixture
def volume() -> Volume:
    rng = np.random.default_rng(0)
    pixels = np.full((7, 60, 60), -1000.0, np.float32)
    pixels[:, 10:50, 8:52] = rng.normal(60, 30, (7, 40, 44))
    return Volume.from_array(pixels, (5.0, 6.0, 6.0))


def layers_of(bundle: Bundle) -> list[str]:
    names = [name for name, _ in bundle.module.named_children()]
    return [names[1], names[-4]]


def test_files_hold_what_was_explained(bundle: Bundle, volume: Volume, tmp_path: Path) -> None:
    """A sheet to look at, raw maps by method and layer, and a JSON that says of each what it is and how good."""
    result = explain_series(volume, bundle, layers_of(bundle), ["sam", "saliency"], Phase.ARTERIAL, [1, 3, 5])
    sheet, arrays, facts = result.write(tmp_path / "out")
    assert Image.open(sheet).width > 400
    told = json.loads(facts.read_text())
    assert told["target"] == "arterial"
    assert told["model"]["weights_sha256"] == "ab" * 32
    assert [s["index"] for s in told["slices"]] == [1, 3, 5]
    assert "not for diagnostic use" in told["note"].lower()
    with np.load(arrays) as stored:
        keys = {m["key"] for m in told["maps"]}
        assert keys == {"saliency", *(f"sam@{layer}" for layer in layers_of(bundle))}
        assert set(stored) == keys | {"hounsfield"}
        np.testing.assert_array_equal(stored["saliency"], result.maps.get("saliency").values)
        assert stored["saliency"].shape == (3, GRID.size, GRID.size)


def test_slices_and_target_have_defaults(bundle: Bundle, volume: Volume) -> None:
    """Five slices from end to end, and the phase that they speak for on average."""
    result = explain_series(volume, bundle, layers_of(bundle)[:1], ["grad-cam"])
    assert result.slices == (0, 2, 3, 4, 6)
    assert result.target is tuple(Phase)[int(result.probabilities.mean(0).argmax())]


@pytest.mark.parametrize("slices", [[], [7], [-1]])
def test_slices_that_are_not_there_are_refused(bundle: Bundle, volume: Volume, slices: list[int]) -> None:
    """The message says which there are."""
    with pytest.raises(ValueError, match="0 to 6"):
        explain_series(volume, bundle, layers_of(bundle), ["sam"], None, slices)


def test_each_score_is_of_its_own_layer(bundle: Bundle, volume: Volume) -> None:
    """Two layers of one method have a score each."""
    result = explain_series(volume, bundle, layers_of(bundle), ["hirescam"], Phase.DELAYED)
    assert len(result.scores) == 2
    assert result.scores[0].deletion_auc != result.scores[1].deletion_auc
