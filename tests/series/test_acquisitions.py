"""One series, one or several acquisitions: what is split, and what must not be."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from dicomnode.series.volume import Part, Unjudgeable, load
from tests.factories import ct_datasets, ct_slice, enhanced_ct, uid, write

Found = list[Part | Unjudgeable]
Edit = Callable[[int, Dataset], None]


def load_all(folder: Path, *runs: list[Dataset]) -> Found:
    """The parts of one series made of several runs, its files shuffled."""
    paths = write(folder, [dataset for run in runs for dataset in run])
    random.Random(3).shuffle(paths)
    return load(paths)


def run(number: int, slices: int = 12, change: Edit | None = None, **attributes: Any) -> list[Dataset]:
    """One sweep; run `number` shows tissue at 100 * number HU."""
    datasets = ct_datasets(slices, change=change, **attributes)
    for index, dataset in enumerate(datasets):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("run", number, index)
        dataset.RescaleIntercept = -1024 + 100 * number
        dataset.InstanceNumber = 100 * number + index + 1
    return datasets


def tissue(part: Part | Unjudgeable) -> set[int]:
    """Which runs the part's slices come from."""
    assert isinstance(part, Part)
    return {round((float(part.volume.slice(i)[8, 8]) - 40 - i) / 100) for i in range(len(part.volume))}


def clock(start: int, step: float = 0.0) -> Edit:
    """Acquisition times from `start` seconds after noon."""

    def change(index: int, dataset: Dataset) -> None:
        seconds = start + step * index
        dataset.AcquisitionTime = f"12{int(seconds // 60):02}{seconds % 60:05.2f}"

    return change


def numbers(key: Callable[[int], int]) -> Edit:
    return lambda index, dataset: setattr(dataset, "AcquisitionNumber", key(index))


SPLIT: dict[str, list[dict[str, Any]]] = {
    "by acquisition number": [{"AcquisitionNumber": 2}, {"AcquisitionNumber": 3}],
    "by temporal position": [{"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}],
    "by acquisition time": [{"change": clock(0)}, {"change": clock(45)}],
    "by a time for each slice": [{"change": clock(0, 1.5)}, {"change": clock(45, 1.5)}],
    "by numbers that go on": [{"change": numbers(lambda i: i)}, {"change": numbers(lambda i: 12 + i)}],
    "by kernel": [{"ConvolutionKernel": "B30f"}, {"ConvolutionKernel": "B70f"}],
    "by tube voltage": [{"KVP": 80}, {"KVP": 140}],
    "by content time": [
        {"AcquisitionTime": None, "ContentTime": "120000"},
        {"AcquisitionTime": None, "ContentTime": "120100"},
    ],
    "by instance number alone": [{}, {}],
    "three phases": [{"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, {"AcquisitionNumber": 3}],
}


@pytest.mark.parametrize("how", SPLIT)
def test_two_sweeps_over_one_range_are_never_mixed(tmp_path: Path, how: str) -> None:
    """Whatever tells them apart, each part holds slices of one sweep, in the order of time."""
    runs = [run(number, **attributes) for number, attributes in enumerate(SPLIT[how])]
    found = load_all(tmp_path, *runs)
    assert [tissue(part) for part in found] == [{number} for number in range(len(runs))]
    assert [part.label for part in found] == [f"acquisition {i}" for i in range(1, len(runs) + 1)]
    assert [part.index for part in found] == list(range(1, len(runs) + 1))


def test_places_may_differ_by_a_rounding(tmp_path: Path) -> None:
    """The second sweep lies a hundredth of a millimetre higher, on either side of any grid."""

    def higher(index: int, dataset: Dataset) -> None:
        dataset.ImagePositionPatient = [-100, -100, 5.0 * index + 0.005 * (index % 3)]

    found = load_all(tmp_path, run(0, AcquisitionNumber=1), run(1, AcquisitionNumber=2, change=higher))
    assert [tissue(part) for part in found] == [{0}, {1}]


def test_sweeps_that_interleave_without_touching_are_apart(tmp_path: Path) -> None:
    """The second sweep runs through the same range, half a step higher."""

    def higher(index: int, dataset: Dataset) -> None:
        dataset.ImagePositionPatient = [-100, -100, 5.0 * index + 2.5]

    found = load_all(tmp_path, run(0, AcquisitionNumber=1), run(1, AcquisitionNumber=2, change=higher))
    assert [tissue(part) for part in found] == [{0}, {1}]


def test_a_longer_second_sweep_is_apart(tmp_path: Path) -> None:
    """Liver first, then the whole abdomen."""
    found = load_all(tmp_path, run(0, 10, AcquisitionNumber=1), run(1, 30, AcquisitionNumber=2))
    assert [len(part.headers) for part in found] == [10, 30]


def test_chest_and_abdomen_scanned_at_different_moments_are_apart(tmp_path: Path) -> None:
    """One above the other, with numbers of their own, 40 s between."""

    def below(index: int, dataset: Dataset) -> None:
        clock(50)(index, dataset)
        dataset.ImagePositionPatient = [-100, -100, 5.0 * index - 60]

    found = load_all(tmp_path, run(0, AcquisitionNumber=1, change=clock(10)), run(1, AcquisitionNumber=2, change=below))
    assert [tissue(part) for part in found] == [{0}, {1}]


ONE: dict[str, dict[str, Any]] = {
    "a number for each slice": {"change": numbers(lambda i: i)},
    "a number for each turn of the tube": {"change": numbers(lambda i: i // 4)},
    "a number and time for each block of 8": {
        "change": lambda i, ds: (numbers(lambda i: i // 8)(i, ds), clock(0, 1.0)(i, ds))
    },
    "a time for each slice": {"change": clock(0, 7.0)},
    "overlapping reconstruction": {"spacing_mm": 1.5, "SliceThickness": 5},
    "kernels that change with height": {"change": lambda i, ds: setattr(ds, "ConvolutionKernel", f"B{i // 16}")},
    "alternating image type": {
        "change": lambda i, ds: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", "AXIAL", str(i % 2)])
    },
}


@pytest.mark.parametrize("how", ONE)
def test_one_sweep_stays_one_volume(tmp_path: Path, how: str) -> None:
    """Numbers and times that change along the body split nothing."""
    [part] = load_all(tmp_path, run(0, 32, **ONE[how]))
    assert isinstance(part, Part)
    assert len(part.volume) == 32
    assert (part.label, part.notes) == ("", ())


def test_slices_that_watch_the_bolus_do_not_spoil_the_sweep(tmp_path: Path) -> None:
    """Fifteen pictures of one place beside the sweep: left out, with a note."""
    watching = run(
        1, 15, AcquisitionNumber=1, change=lambda i, ds: setattr(ds, "ImagePositionPatient", [-100, -100, 20.0])
    )
    [part] = load_all(tmp_path, watching, run(0, 20, AcquisitionNumber=2))
    assert tissue(part) == {0}
    assert part.notes == ("15 slices of another size, orientation or run left out.",)


def test_two_doubled_slices_do_not_spoil_the_sweep(tmp_path: Path) -> None:
    """A slice that was reconstructed twice stands once in the volume."""
    extra = run(1, 2)
    [part] = load_all(tmp_path, run(0, 20), extra)
    assert tissue(part) == {0}
    assert len(part.headers) == 20


def test_slices_of_another_size_are_another_part(tmp_path: Path) -> None:
    """Two fields of view of one scan: each is judged by itself."""
    small = [ct_slice(i, rows=32, series="series", SOPInstanceUID=uid("small", i)) for i in range(12)]
    found = load_all(tmp_path, run(0), small)
    assert {part.volume.shape for part in found if isinstance(part, Part)} == {(16, 16), (32, 32)}


def test_short_runs_only_are_declined_once(tmp_path: Path) -> None:
    """Three runs of five slices: one sentence, not three."""
    found = load_all(tmp_path, *(run(n, 5, AcquisitionNumber=n) for n in range(3)))
    assert len(found) == 1
    assert isinstance(found[0], Unjudgeable)
    assert found[0].reason.startswith("The series has 5 slices; at least 8 are needed.")


def test_the_order_of_files_changes_nothing(tmp_path: Path) -> None:
    """The same series in another order gives the same parts, so that a repeated job makes the same objects."""
    runs = [run(0, AcquisitionNumber=7), run(1, AcquisitionNumber=7), run(2, AcquisitionNumber=9)]
    paths = write(tmp_path, [dataset for one in runs for dataset in one])
    expected = None
    for seed in range(5):
        random.Random(seed).shuffle(paths)
        ids = [part.volume.slice_ids for part in load(paths) if isinstance(part, Part)]
        expected = expected or ids
        assert ids == expected
    assert len(expected or ()) == 3


def test_frames_of_one_object_are_split_as_well(tmp_path: Path) -> None:
    """An Enhanced CT that holds two temporal positions over one range."""
    dataset = enhanced_ct(24)
    for index, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient = [-100, -100, 5.0 * (index % 12)]
        frame.FrameContentSequence[0].TemporalPositionIndex = 1 + index // 12
    found = load(write(tmp_path, [dataset]))
    assert [part.frames for part in found if isinstance(part, Part)] == [tuple(range(1, 13)), tuple(range(13, 25))]
