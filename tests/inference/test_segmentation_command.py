"""`dicomnode train --task segmentation`: what is typed reaches the training, and what has no meaning is refused."""

from pathlib import Path
from typing import Any

import pytest

from dicomnode import cli
from inference.models import NETWORKS, Bundle, ModelCard
from inference.training import train_segmentation as module
from inference.training.train_segmentation import LAYERS, WIDTHS


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(("train", *arguments))
    return int(ended.value.code or 0)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The training's arguments; training itself is left out."""
    seen: dict[str, Any] = {}

    def train(out: Path, work: Path, training: module.SegmentationTraining, **more: Any) -> Bundle:
        seen.update(more, out=out, work=work, training=training)
        figures = {"synthetic held-out": {"dice": {"liver": 0.875}}}
        card = ModelCard("organs", "1", "segmentation", training.network, "", "", "", "", figures)
        return Bundle(card, None)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "train_segmentation", train)
    return seen


def test_every_network_can_be_asked_for() -> None:
    """The command, the table of networks and the training know the same ones."""
    assert set(cli.ORGAN_NETWORKS) == set(WIDTHS) == set(LAYERS) <= set(NETWORKS)


@pytest.mark.parametrize("network", cli.ORGAN_NETWORKS)
def test_what_is_typed_reaches_the_training(
    network: str, called: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the figures that come out are called synthetic."""
    typed = f"--task segmentation --network {network} --hours 0.25 --seed 7 --phantoms 3 --out {tmp_path}"
    assert run(*typed.split()) == 0
    training = called["training"]
    assert (training.network, training.seed, training.phantom_shards) == (network, 7, 3)
    assert training.schedule.hours == 0.25
    assert (called["out"], called["work"], called["resume"]) == (tmp_path / "bundle", tmp_path / "work", True)
    assert "Dice 0.875 on held-out phantoms (synthetic): liver" in capsys.readouterr().out


def test_afresh_does_not_go_on(called: dict[str, Any], tmp_path: Path) -> None:
    """As with a phase model."""
    assert run("--task", "segmentation", "--afresh", "--out", str(tmp_path)) == 0
    assert called["resume"] is False


def test_series_without_outlines_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says why, before anything is learned."""
    assert run("--task", "segmentation", "--data", str(tmp_path), "--out", str(tmp_path)) == 2
    assert "outlines" in capsys.readouterr().err
