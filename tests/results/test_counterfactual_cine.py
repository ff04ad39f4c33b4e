"""The cine of synthetic images: valid, and marked so that nobody takes it for an acquisition."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import findings_factory as make
import numpy as np
import pytest
from pydicom.dataset import Dataset
from test_result_peers import complaints, write

from dicomnode.results import ResultObject, ResultOptions, codes
from dicomnode.results.counterfactual import KIND
from dicomnode.series.part10 import read_file_header
from dicomnode.series.screening import Policy, screen
from inference.counterfactual.regions import Region
from inference.counterfactual.series import Counterfactual
from inference.counterfactual.walk import Walk
from inference.phases import Phase

VOLUME = make.volume()
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)
SINGLE = ResultOptions(key_slices=1, counterfactual=True)
CINE = replace(SINGLE, capture="multi-frame")


def counterfactual(reason: str | None = None) -> Counterfactual:
    """Five steps from portal venous to delayed; or the reason why there are none."""
    hounsfield = np.stack([np.full((16, 16), 40.0 + 20 * step, np.float32) for step in STEPS])
    logits = np.stack([[-5.0, -2.0, 2.0 - step, 1.0 + step] for step in STEPS])
    walk = None if reason else Walk("portal venous > delayed", Region.ALL, 3, STEPS, hounsfield, logits)
    generator = make.card(name="generator-test", task="generator", weights_sha256="cd" * 32)
    return Counterfactual(6, Phase.PORTAL_VENOUS, Phase.DELAYED, walk, reason, 9.0, 0.1, 1.0, generator)


def objects(options: ResultOptions = SINGLE, reason: str | None = None, **header: object) -> list[ResultObject]:
    findings = make.findings(VOLUME, counterfactual=counterfactual(reason))
    made = make.results(findings, VOLUME, options=options, headers=make.headers(**header))
    return [o for o in made if o.kind == KIND]


def datasets(options: ResultOptions = SINGLE, **header: object) -> list[Dataset]:
    return [make.decode(o) for o in objects(options, **header)]


def test_it_is_off_unless_asked_for() -> None:
    """Neither the option alone nor the counterfactual alone makes one; nor does a slice that cannot be explained."""
    assert not objects(ResultOptions())
    assert not [o for o in make.results(make.findings(VOLUME), VOLUME, options=SINGLE) if o.kind == KIND]
    assert not objects(reason="The model calls the reconstruction arterial.")


@pytest.mark.parametrize("options", [SINGLE, CINE])
def test_every_instance_is_coded_as_synthetic(options: ResultOptions) -> None:
    """Image type, description, code, burned-in words, and a place that no viewer can lay over the CT."""
    for dataset in datasets(options):
        assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "SYNTHETIC"]
        assert dataset.DerivationDescription.startswith("SYNTHETIC IMAGE - not the patient")
        assert "Not for diagnostic use" in dataset.DerivationDescription
        assert dataset.DerivationCodeSequence[0].CodeValue == codes.SYNTHETIC.value
        assert dataset.SeriesDescription.startswith("SYNTHETIC not the patient")
        assert dataset.BurnedInAnnotation == "YES"
        assert not {"FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"} & {
            element.keyword for element in dataset
        }
        assert dataset.SourceImageSequence[0].ReferencedSOPInstanceUID == "2.25.20006"


def test_a_cine_plays_by_itself_and_singles_are_in_order() -> None:
    """One object with a frame time, or one object a step that says what its image looks like."""
    (cine,) = datasets(CINE)
    assert (cine.NumberOfFrames, cine.FrameIncrementPointer, cine.FrameTime) == (5, 0x00181063, 400)
    singles = datasets(SINGLE)
    assert [s.InstanceNumber for s in singles] == [1, 2, 3, 4, 5]
    assert "-2 sd: portal venous" in singles[0].DerivationDescription
    assert "+2 sd: delayed" in singles[4].DerivationDescription


def test_the_frames_are_those_that_were_drawn() -> None:
    """Pixel for pixel the same in both kinds."""
    (cine,) = datasets(CINE)
    shape = (5, cine.Rows, cine.Columns, 3)
    together = np.frombuffer(cine.PixelData, np.uint8).reshape(shape)
    for frame, single in zip(together, datasets(SINGLE), strict=True):
        assert np.array_equal(frame.ravel(), np.frombuffer(single.PixelData, np.uint8))


def test_it_is_a_series_of_its_own_whose_name_follows_the_generator() -> None:
    """Not that of the pictures; another generator's is another; the same input gives the same bytes."""
    made = make.results(make.findings(VOLUME, counterfactual=counterfactual()), VOLUME, options=SINGLE)
    assert len({o.series_uid for o in made if o.kind in ("capture", KIND)}) == 2
    other = replace(counterfactual(), model=make.card(weights_sha256="ef" * 32))
    again = make.results(make.findings(VOLUME, counterfactual=other), VOLUME, options=SINGLE)
    ours, theirs = ({o.sop_instance_uid for o in each if o.kind == KIND} for each in (made, again))
    assert not ours & theirs
    assert [o.encoded for o in objects()] == [o.encoded for o in objects()]


def test_switching_it_on_changes_no_other_object() -> None:
    """Pictures and report are the same bytes."""
    findings = make.findings(VOLUME, counterfactual=counterfactual())
    plain = make.results(findings, VOLUME, options=replace(SINGLE, counterfactual=False))
    more = make.results(findings, VOLUME, options=SINGLE)
    assert [o.encoded for o in more[: len(plain)]] == [o.encoded for o in plain]


def test_in_german_it_is_synthetic_too() -> None:
    """Words of the other language, code as before."""
    dataset = datasets(replace(SINGLE, language="de"))[0]
    assert dataset.DerivationDescription.startswith("SYNTHETISCHES BILD - nicht der Patient")
    assert "Spätphase" in dataset.DerivationDescription
    assert dataset.SeriesDescription.startswith("SYNTHETISCH nicht der Patient")


def test_what_comes_back_is_never_judged(tmp_path: Path) -> None:
    """A router that sends it to the node again starts no loop."""
    for path in write(objects(), tmp_path):
        assert screen(read_file_header(path), Policy()).disposition != "judge"


@pytest.mark.peer
@pytest.mark.parametrize("options", [SINGLE, CINE])
def test_validators_find_nothing(require_peer: Callable[[str], str], tmp_path: Path, options: ResultOptions) -> None:
    """dciodvfy on every instance."""
    assert complaints(require_peer, write(objects(options), tmp_path)) == []
