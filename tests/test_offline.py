"""Without a network: `judge` and `explain` on folders, with the shipped model."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicomnode.offline import explain_folder, judge_folder
from tests.factories import SECONDARY_CAPTURE, ct_series


def test_judge_answers_for_every_series_in_a_folder(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real series with objects and pictures, and one that is declined; nothing else is printed with --json."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "chest").symlink_to(real_data / "ct" / "ctpe0117")
    ct_series(folder / "short", 2)
    (folder / "notes.txt").write_text("not DICOM")
    assert judge_folder(None, real_data / "ct" / "ctpe0117", as_json=True, out=tmp_path / "out") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["phase"] == "arterial"
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=0.001)
    made = sorted(path.suffix for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert made.count(".png") >= 2
    assert made.count(".dcm") == made.count(".png") + 1
    judge_folder(None, folder / "short", as_json=True, out=None)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["phase"]) == ("DECLINED", None)
    assert "2 slices" in row["reason"]


def test_judge_writes_the_report_of_a_declined_series_where_it_is_set(tmp_path: Path) -> None:
    """As the node sends it: a localizer gets one, a capture none."""
    ct_series(tmp_path / "in" / "scout", 2, series="scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    ct_series(tmp_path / "in" / "capture", 2, series="capture", SOPClassUID=SECONDARY_CAPTURE)
    config = tmp_path / "dicomnode.toml"
    for wanted in ("false", "true"):
        config.write_text(f"[results]\ndeclined_report = {wanted}\n")
        assert judge_folder(config, tmp_path / "in", as_json=True, out=tmp_path / wanted) == 0
    assert not (tmp_path / "false").exists()
    (path,) = (tmp_path / "true").rglob("*.dcm")
    assert dcmread(path).SeriesDescription == "AI NOT JUDGED S2"


def test_explain_writes_a_sheet_raw_maps_and_what_they_are(real_data: Path, tmp_path: Path) -> None:
    """The researcher's door: any layer, any map."""
    assert (
        explain_folder(
            None,
            real_data / "ct" / "ctpe0117",
            layers=["stage2", "stage16"],
            maps=["sam", "grad-cam"],
            target="arterial",
            out=tmp_path,
        )
        == 0
    )
    (maps,) = tmp_path.rglob("maps.npz")
    stored = np.load(maps)
    assert {"sam@stage2", "sam@stage16", "grad-cam@stage2", "grad-cam@stage16"} <= set(stored.files)
    assert maps.with_name("maps.png").exists()
    assert json.loads(maps.with_name("maps.json").read_text())["target"] == "arterial"
