"""Organs by setting: on with a model, off without one, refused with a wrong one; and the folder command."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from dicomnode import worker
from dicomnode.config import Settings, load
from dicomnode.errors import ConfigurationError
from dicomnode.findings_table import judged_row
from dicomnode.organ_maps import explain_organs_in
from dicomnode.series.volume import Part
from dicomnode.series.volume import load as load_parts
from inference import models
from inference.findings import Findings, OrganMeasurement, OrganVote
from inference.models import NETWORKS, Bundle, ModelCard, save_bundle
from inference.organ_findings import contradicts, look
from inference.phases import Phase
from tests.factories import ct_series

OPTIONS = {
    "size": 32, "pixel_mm": 10.0, "windows": [[-160.0, 240.0]], "width": 2, "organs": ["AORTA", "LIVER"],
    "layers": {"grad-cam": "encoder.2", "sam": "decoder.2"},
}  # fmt: skip


@pytest.fixture
def organ_model(tmp_path: Path) -> Path:
    """A bundle of an untrained R2U-Net of the smallest width."""
    card = ModelCard("organs", "0", "segmentation", "r2unet", "", "tests", "all", "none", options=OPTIONS)
    save_bundle(tmp_path / "organs", card, NETWORKS["r2unet"](OPTIONS))
    return tmp_path / "organs"


def settings(**values: object) -> Settings:
    return load(environment={f"DICOMNODE_ANALYSE_{name.upper()}": str(value) for name, value in values.items()})


@pytest.fixture
def nothing_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "default_bundle_path", lambda task="phase": tmp_path / "none" / task)
    worker._say_no_organs.cache_clear()


def test_a_model_that_is_named_is_loaded(organ_model: Path) -> None:
    """And once only."""
    found = worker.organ_bundle(settings(organ_bundle=organ_model))
    assert isinstance(found, Bundle)
    assert worker.organ_bundle(settings(organ_bundle=organ_model)) is found
    worker.check_bundle(settings(organ_bundle=organ_model))


def test_organs_can_be_switched_off(organ_model: Path) -> None:
    """Whatever model is there."""
    assert worker.organ_bundle(settings(organs="false", organ_bundle=organ_model)) is None


def test_without_a_model_organs_are_off_with_one_log_line(
    nothing_shipped: None, caplog: pytest.LogCaptureFixture
) -> None:
    """The node starts, and says it once."""
    caplog.set_level(logging.INFO)
    for _ in range(3):
        assert worker.organ_bundle(settings()) is None
    assert [r.message for r in caplog.records] == ["no organ model is installed: organs are not looked for"]


def test_a_model_that_is_none_is_refused(tmp_path: Path) -> None:
    """An empty folder, and the phase model: the setting is named."""
    for folder in (tmp_path, models.default_bundle_path("phase")):
        with pytest.raises(ConfigurationError, match=r"analyse\.organ_bundle"):
            worker.organ_bundle(settings(organ_bundle=folder))
    with pytest.raises(ConfigurationError, match=r"analyse\.organ_bundle"):
        worker.check_bundle(settings(organ_bundle=tmp_path))


def test_the_row_of_a_result_tells_the_organs() -> None:
    """HU, volume, and the vote with its evidence, as plain values."""
    card = ModelCard("p", "0", "phase", "x", "0" * 64, "", "", "")
    probabilities = dict.fromkeys(Phase, 0.25)
    said = OrganVote({phase: float(phase is Phase.ARTERIAL) for phase in Phase}, ("aorta",), contradicts=True)
    found = Findings(
        None, 0.25, probabilities, None, "why", (), (), (), {}, card,
        organs=(OrganMeasurement("aorta", 301.26, 300.0, 20.0, 55.55, 3),), organ_vote=said,
    )  # fmt: skip
    row = json.loads(json.dumps(judged_row("", found)))
    assert row["organs"] == {"aorta": {"median_hu": 301.3, "volume_ml": 55.5}}
    assert (row["organ_vote"]["phase"], row["organ_vote"]["evidence"]) == ("arterial", "aorta 301 HU")
    assert row["organ_vote"]["contradicts"]


def test_explain_writes_outlines_and_maps_of_a_folder(
    organ_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sheet, raw maps and facts for the part; an untrained network finds something or says that it did not."""
    monkeypatch.setenv("DICOMNODE_ANALYSE_ORGAN_BUNDLE", str(organ_model))
    ct_series(tmp_path / "series", 4, rows=101, PixelSpacing=[3.0, 3.0])
    out = tmp_path / "out"
    asked = {"layers": None, "organ": None, "mask": None, "out": out}
    assert explain_organs_in(None, tmp_path / "series", maps=["grad-cam"], **asked) == 0
    (facts,) = out.rglob("organs.json")
    told = json.loads(facts.read_text(encoding="utf-8"))
    assert {each["organ"] for each in told["organs"]} | set(told["absent"]) == {"aorta", "liver"}
    stored = np.load(facts.with_name("organs.npz"))
    for each in told["organs"]:
        for one in each["maps"]:
            assert stored[one["key"]].shape == (32, 32)
    assert facts.with_name("organs.png").exists()


def test_explain_refuses_what_is_not_there(organ_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer, an organ and a mask that the network does not have; and no model at all."""
    monkeypatch.setenv("DICOMNODE_ANALYSE_ORGAN_BUNDLE", str(organ_model))
    ct_series(tmp_path / "series", 4, rows=101, PixelSpacing=[3.0, 3.0])
    asked = {"layers": None, "maps": None, "organ": None, "mask": None, "out": tmp_path / "out"}
    for wrong in ({"organ": "heart"}, {"mask": "first"}, {"layers": ["nowhere"]}):
        with pytest.raises(ConfigurationError, match="explain"):
            explain_organs_in(None, tmp_path / "series", **(asked | wrong))
    monkeypatch.setenv("DICOMNODE_ANALYSE_ORGANS", "false")
    with pytest.raises(ConfigurationError, match="no organ model"):
        explain_organs_in(None, tmp_path / "series", **asked)


@pytest.mark.real
@pytest.mark.parametrize(("name", "low_hu", "high_hu"), [("acrin001-abd", 25, 60), ("ctpe0117", 190, 300)])
def test_the_shipped_model_measures_the_aorta_of_a_real_series(
    name: str, low_hu: float, high_hu: float, real_data: Path
) -> None:
    """Without contrast about 40 HU, in the arterial phase more than 190; and no vote that is sure of another."""
    (part,) = load_parts(sorted((real_data / "ct" / name).iterdir()))
    assert isinstance(part, Part)
    seen = look(part.volume, models.load_bundle(models.default_bundle_path("organs")), with_map=False)
    assert seen is not None
    aorta = next(found for found in seen.measurements if found.organ == "aorta")
    assert low_hu < aorta.median_hu < high_hu
    assert seen.vote is not None
    assert not contradicts(Phase.UNENHANCED if high_hu < 100 else Phase.ARTERIAL, seen.vote)
