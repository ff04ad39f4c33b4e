"""A CT series in one line: synthetic objects, valid as far as a receiver looks, with nothing taken from a patient."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)

Stored = NDArray[np.int16]


def uid(*parts: object) -> str:
    """A UID that is a function of `parts`."""
    return str(generate_uid(prefix="2.25.", entropy_srcs=[str(part) for part in parts]))


def body(rows: int, index: int = 0) -> Stored:
    """hounsfield[row, column] of one slice: an ellipse of soft tissue at 40 HU + index in air."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : rows * 1j]
    return np.where(x**2 / 0.7 + y**2 / 0.4 < 1, 40 + index, -1000).astype(np.int16)


def ct_slice(
    index: int = 0, *, rows: int = 16, series: object = "series", hounsfield: Stored | None = None, **attributes: Any
) -> Dataset:
    """One uncompressed CT Image; `attributes` replace or, where None, remove what stands here."""
    pixels = body(rows, index) if hounsfield is None else hounsfield
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values: dict[str, Any] = {
        "SOPClassUID": CT_IMAGE, "SOPInstanceUID": uid(series, index), "StudyInstanceUID": uid("study"),
        "SeriesInstanceUID": uid(series), "FrameOfReferenceUID": uid("frame"), "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "PatientName": "Phantom^Synthetic", "PatientID": "PHANTOM",
        "PatientBirthDate": "", "PatientSex": "", "StudyDate": "20240101", "StudyTime": "120000", "StudyID": "1",
        "AccessionNumber": "A1", "ReferringPhysicianName": "", "Manufacturer": "Phantom", "SeriesNumber": 2,
        "SeriesDescription": "Abdomen", "AcquisitionNumber": 1, "InstanceNumber": index + 1, "KVP": 120,
        "AcquisitionDate": "20240101", "AcquisitionTime": "120100", "PatientPosition": "HFS", "SliceThickness": 5,
        "PositionReferenceIndicator": "", "ImagePositionPatient": [-100.0, -100.0, 5.0 * index],
        "ImageOrientationPatient": list(AXIAL), "PixelSpacing": [0.8, 0.8], "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "Rows": pixels.shape[0], "Columns": pixels.shape[1],
        "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1, "RescaleIntercept": -1024,
        "RescaleSlope": 1, "RescaleType": "HU",
    }  # fmt: skip
    for keyword, value in (values | attributes).items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" not in attributes:
        dataset.PixelData = (pixels + np.int16(1024)).astype("<i2").tobytes()
        dataset["PixelData"].VR = "OW"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CT_IMAGE)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", uid(series, index))
    return dataset


Change = Callable[[int, Dataset], None]


def ct_series(
    folder: Path | None = None,
    slices: int = 12,
    *,
    rows: int = 16,
    spacing_mm: float = 5.0,
    transfer_syntax: str | None = None,
    change: Change | None = None,
    **attributes: Any,
) -> list[Path]:
    """A CT series written below `folder`: slice i lies i * spacing_mm towards the head.

    `attributes` go to every slice; `change(index, dataset)` alters single ones; `transfer_syntax` compresses.
    """
    if folder is None:
        raise ValueError("no folder: use ct_datasets")
    datasets = ct_datasets(slices, rows=rows, spacing_mm=spacing_mm, change=change, **attributes)
    return write(folder, datasets, transfer_syntax)


def ct_datasets(
    slices: int = 12, *, rows: int = 16, spacing_mm: float = 5.0, change: Change | None = None, **attributes: Any
) -> list[Dataset]:
    """The same series in memory, uncompressed."""
    series = attributes.pop("series", "series")
    datasets = []
    for index in range(slices):
        position = {"ImagePositionPatient": [-100.0, -100.0, spacing_mm * index]}
        dataset = ct_slice(index, rows=rows, series=series, **(position | attributes))
        if change is not None:
            change(index, dataset)
        datasets.append(dataset)
    return datasets


def write(folder: Path, datasets: Sequence[Dataset], transfer_syntax: str | None = None) -> list[Path]:
    """Each dataset as a Part 10 file below `folder`, compressed to `transfer_syntax` where one is named."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets):
        if transfer_syntax is not None and transfer_syntax != dataset.file_meta.TransferSyntaxUID:
            _transcode(dataset, transfer_syntax)
        path = folder / f"{number:04}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _transcode(dataset: Dataset, transfer_syntax: str) -> None:
    from pydicom.uid import UID

    if UID(transfer_syntax).is_compressed and not UID(transfer_syntax).is_deflated:
        dataset.compress(transfer_syntax, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
        if not UID(transfer_syntax).is_little_endian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()


def enhanced_ct(frames: int = 12, *, rows: int = 16, spacing_mm: float = 5.0, **attributes: Any) -> Dataset:
    """One Enhanced CT Image of `frames` frames, plane and rescale in the per-frame functional groups."""
    pixels = np.stack([body(rows, index) for index in range(frames)]) + np.int16(1024)
    flat = {"RescaleIntercept": None, "RescaleSlope": None, "ImagePositionPatient": None, "PixelSpacing": None,
            "ImageOrientationPatient": None, "SliceThickness": None}  # fmt: skip
    dataset = ct_slice(0, rows=rows, **(flat | {"SOPClassUID": ENHANCED_CT, "NumberOfFrames": frames} | attributes))
    dataset.PixelData = pixels.astype("<i2").tobytes()
    shared = Dataset()
    shared.PixelMeasuresSequence = Items([_item(PixelSpacing=[0.8, 0.8], SliceThickness=spacing_mm)])
    shared.PlaneOrientationSequence = Items([_item(ImageOrientationPatient=list(AXIAL))])
    shared.PixelValueTransformationSequence = Items([_item(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="HU")])
    dataset.SharedFunctionalGroupsSequence = Items([shared])
    dataset.PerFrameFunctionalGroupsSequence = Items([_frame(i, spacing_mm) for i in range(frames)])
    return dataset


def _frame(index: int, spacing_mm: float) -> Dataset:
    frame = Dataset()
    frame.PlanePositionSequence = Items([_item(ImagePositionPatient=[-100.0, -100.0, spacing_mm * index])])
    frame.FrameContentSequence = Items([_item(FrameAcquisitionNumber=1, InStackPositionNumber=index + 1)])
    return frame


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
