"""Phantom volumes as CT images: the built-in input of the demonstration, and of tests; they say they are synthetic."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicomnode.identity import IMPLEMENTATION_CLASS_UID, MANUFACTURER
from dicomnode.results.uids import derive
from inference.volume import Volume

INTERCEPT_HU = -1024


@dataclass(frozen=True)
class SyntheticSeries:
    """What the headers of one synthetic series say."""

    study_name: str
    """Series with the same study name belong to one study of one synthetic patient."""
    series_number: int
    description: str
    made_at: datetime
    """Aware; Study Date and Time, and all the others."""


def ct_images(volume: Volume, series: SyntheticSeries) -> Iterator[FileDataset]:
    """One CT Image Storage object a slice (PS3.3 A.3), in the order of the volume; same input, same UIDs."""
    for index in range(len(volume)):
        yield _ct_image(volume, series, index)


def write_ct_images(volume: Volume, series: SyntheticSeries, folder: Path) -> list[Path]:
    """The images as files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, image in enumerate(ct_images(volume, series)):
        path = folder / f"{index + 1:04d}.dcm"
        image.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _ct_image(volume: Volume, series: SyntheticSeries, index: int) -> FileDataset:
    name = f"{series.study_name} {series.series_number}"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = derive("phantom", name, str(index))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    image = FileDataset("", {}, preamble=bytes(128), file_meta=meta)
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID = derive("phantom study", series.study_name)
    image.SeriesInstanceUID = derive("phantom series", name)
    image.FrameOfReferenceUID = derive("phantom frame of reference", series.study_name)
    _describe(image, series)
    _place(image, volume, index)
    _draw(image, volume, index)
    return image


def _describe(image: Dataset, series: SyntheticSeries) -> None:
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    date, time = series.made_at.strftime("%Y%m%d"), series.made_at.strftime("%H%M%S")
    for event in ("Study", "Series", "Acquisition", "Content"):
        setattr(image, f"{event}Date", date)
        setattr(image, f"{event}Time", time)
    image.SpecificCharacterSet = "ISO_IR 192"
    image.Modality = "CT"
    image.Manufacturer = f"{MANUFACTURER} phantom"
    image.ManufacturerModelName = "synthetic"
    image.PatientName = "PHANTOM^SYNTHETIC"
    image.PatientID = f"PHANTOM-{series.study_name}"[:64]
    image.PatientBirthDate, image.PatientSex, image.PatientPosition = "", "O", "FFS"
    image.AccessionNumber, image.StudyID, image.ReferringPhysicianName = "", "1", ""
    image.StudyDescription = "Synthetic CT (phantom)"
    image.SeriesDescription = series.description
    image.SeriesNumber, image.AcquisitionNumber = series.series_number, 1
    image.BodyPartExamined = "ABDOMEN"
    image.KVP, image.RescaleType = 120, "HU"


def _place(image: Dataset, volume: Volume, index: int) -> None:
    rows, columns = volume.shape
    spacing = volume.pixel_spacing_mm
    image.InstanceNumber = index + 1
    image.PositionReferenceIndicator = ""
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    corner = (-spacing[1] * columns / 2, -spacing[0] * rows / 2, volume.positions_mm[index])
    image.ImagePositionPatient = [round(value, 3) for value in corner]
    image.PixelSpacing = [round(value, 5) for value in spacing]
    image.SliceThickness = round(volume.slice_spacing_mm, 3)


def _draw(image: Dataset, volume: Volume, index: int) -> None:
    stored = np.clip(np.round(volume.slice(index)) - INTERCEPT_HU, 0, 4095).astype("<u2")
    image.Rows, image.Columns = volume.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.RescaleIntercept, image.RescaleSlope = INTERCEPT_HU, 1
    image.WindowCenter, image.WindowWidth = 60, 400
    image.PixelData = stored.tobytes()
