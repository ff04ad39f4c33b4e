"""Counterfactuals from the command line: off unless a generator that fits is set, and never without a word."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from dicomnode.cli import parser
from dicomnode.config import Settings
from dicomnode.errors import ConfigurationError
from dicomnode.offline import explain_folder
from dicomnode.results.synthetic import SyntheticSeries, write_ct_images
from dicomnode.worker import check_bundle, judge_with
from inference.counterfactual.directions import names_of
from inference.counterfactual.view import View
from inference.models import ModelCard, default_bundle_path, load_card, save_bundle
from inference.networks.inverter import CounterfactualNetwork
from inference.networks.stylegan2 import Shape
from inference.phantom.generate import random_study
from inference.phases import PHASES
from inference.volume import Volume


def generator(folder: Path, explains: str) -> Path:
    """A bundle of random weights."""
    torch.manual_seed(1)
    shape, names = Shape(size=16, base=4, latent=6, width=64, most=8, mapping=1), names_of([p.value for p in PHASES])
    network = CounterfactualNetwork(shape, len(names))
    network.directions.copy_(torch.eye(6)[[0, 1, 2, 3, 4, 5, 0]])
    options = {**View(16, 25.0).as_options(), "shape": shape.as_options(), "directions": names}
    options |= {"regions": ["all"], "explains": explains}
    metrics = {"distance": {"99 %": 50.0}}
    card = ModelCard("generator", "1", "generator", "counterfactual", "", "", "", "", metrics, options)
    save_bundle(folder, card, network)
    return folder


def settings(folder: Path | None, wanted: bool = True) -> Settings:
    return Settings.model_validate({"analyse": {"generator": folder}, "results": {"counterfactual": wanted}})


@pytest.fixture(scope="module")
def volume() -> Volume:
    """Ten slices of a phantom abdomen."""
    return random_study(3, [70.0], slices=10, size=96)[0].volume


def test_a_generator_can_be_trained_from_the_command_line() -> None:
    """As a third task, with the options of the others."""
    options = parser().parse_args(["train", "--task", "generator", "--hours", "8", "--out", "generator"])
    assert (options.task, options.hours) == ("generator", 8.0)


def test_the_node_does_not_start_with_a_wish_that_cannot_be_met(tmp_path: Path) -> None:
    """No such generator, or one for another model: told at the start, not at the first series."""
    shipped = load_card(default_bundle_path("phase")).weights_sha256
    with pytest.raises(ConfigurationError, match="No model card"):
        check_bundle(settings(tmp_path / "nowhere"))
    check_bundle(settings(None))
    with pytest.raises(ConfigurationError, match="another model"):
        check_bundle(settings(generator(tmp_path / "other", "abc")))
    check_bundle(settings(generator(tmp_path / "own", shipped)))
    check_bundle(settings(None, wanted=False))


def test_findings_carry_a_counterfactual_only_where_it_is_set(tmp_path: Path, volume: Volume) -> None:
    """With a walk or with the reason why not."""
    bundle = generator(tmp_path / "own", load_card(default_bundle_path("phase")).weights_sha256)
    assert judge_with(settings(bundle, wanted=False), ())(volume).counterfactual is None
    found = judge_with(settings(bundle), ())(volume).counterfactual
    assert found is not None
    assert (found.walk is None) == (found.reason is not None)


def test_explain_writes_it_where_it_is_asked_for_by_name(
    tmp_path: Path, volume: Volume, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone, without any map; the reason is told where nothing can be shown."""
    bundle = generator(tmp_path / "own", load_card(default_bundle_path("phase")).weights_sha256)
    config = tmp_path / "dicomnode.toml"
    config.write_text(f'[analyse]\ngenerator = "{bundle}"\n')
    described = SyntheticSeries("study", 1, "abdomen", datetime(2026, 1, 2, tzinfo=UTC))
    write_ct_images(volume, described, tmp_path / "series")
    out = tmp_path / "out"
    call = {"layers": None, "maps": ["counterfactual"], "target": None, "out": out}
    assert explain_folder(config, tmp_path / "series", **call) == 0  # type: ignore[arg-type]
    (written,) = out.rglob("counterfactual.json")
    told = json.loads(written.read_text())
    assert told["note"].startswith("SYNTHETIC")
    said = capsys.readouterr()
    assert str(written) in said.out
    assert told["reason"] is None or told["reason"] in said.err
    assert list(out.rglob("counterfactual.png")) == ([] if told["reason"] else [written.with_suffix(".png")])
    assert not list(out.rglob("maps.*"))


def test_the_shipped_generator_keeps_the_answer_and_walks_towards_the_target(volume: Volume) -> None:
    """Out of the box, on a synthetic portal venous abdomen: a walk whose steps bring the target nearer."""
    found = judge_with(settings(None), ())(volume).counterfactual
    assert found is not None
    assert found.walk is not None, found.reason
    assert found.walk.spearman > 0.5
    assert found.walk.change.max() > 20.0
