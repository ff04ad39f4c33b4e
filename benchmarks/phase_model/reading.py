"""Where the donor volumes come from: folders of DICOM slices, and the NIfTI files of TotalSegmentator's example."""

from pathlib import Path
from typing import Any

import numpy as np
from donors import Floats, Scan

from dicomnode.series.volume import Unjudgeable, load


def read_series(folder: Path) -> Scan:
    """The one acquisition in a folder of DICOM slices. Raises ValueError when there is none that can be judged."""
    parts = load(sorted(path for path in folder.rglob("*") if path.is_file()))
    if isinstance(parts[0], Unjudgeable):
        raise ValueError(f"{folder}: {parts[0].reason}")
    volume = parts[0].volume
    images = [volume.upright(volume.slice(i)) for i in range(len(volume))]
    between_mm = float(np.median(np.diff(volume.positions_mm)))
    return Scan(np.stack(images).clip(-1024, 3071), (between_mm, *volume.pixel_spacing_mm))


def read_nifti(path: Path, *, turned: bool) -> Floats:
    """values[slice, row, column]; `turned` for a file whose columns run from left to right and rows from the back."""
    import nibabel

    image: Any = nibabel.load(path)
    values = np.asarray(image.dataobj, np.float32).transpose(2, 1, 0)
    return np.ascontiguousarray(values[:, ::-1, ::-1] if turned else values)
