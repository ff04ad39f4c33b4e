"""The labelled development volumes as NIfTI with TotalSegmentator's label numbers, so that peers can read them.

    python benchmarks/phase_model/outlined.py CT_ROOT OUT     writes OUT/NAME/ct.nii.gz and OUT/NAME/labels.nii.gz

The organs are those outlined by hand for the donors (but lfcp0001, of which too few slices are), TotalSegmentator's own
for its example, and the public masks of ircad17 (liver, arteries as aorta, portal vein, other veins as inferior vena
cava). OUT holds real pixels.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import abdomen
import numpy as np
import thorax
from donors import Donor, Labels
from numpy.typing import NDArray
from reading import read_nifti, read_series

from inference.phantom.organs import Organ

NUMBERS = {
    Organ.SPLEEN: 1, Organ.KIDNEY_CORTEX: 2, Organ.KIDNEY_MEDULLA: 2, Organ.GALLBLADDER: 4, Organ.LIVER: 5,
    Organ.STOMACH: 6, Organ.PANCREAS: 7, Organ.LUNG: 10, Organ.BOWEL: 18, Organ.BLADDER: 21, Organ.MYOCARDIUM: 51,
    Organ.LEFT_HEART: 51, Organ.RIGHT_HEART: 51, Organ.AORTA: 52, Organ.PULMONARY_VEIN: 53,
    Organ.SUPERIOR_VENA_CAVA: 62, Organ.INFERIOR_VENA_CAVA: 63, Organ.INFRARENAL_VENA_CAVA: 63, Organ.PORTAL_VEIN: 64,
    Organ.ILIAC_ARTERY: 65, Organ.ILIAC_VEIN: 67,
}  # fmt: skip
"""Organ -> its number in TotalSegmentator's task "total"; of paired organs the one on the patient's right in front."""
LEFT = {2: 3}
"""What lies on the patient's left has the next number: kidneys. TotalSegmentator's left iliac vessels come first."""
RIGHT = {65: 66, 67: 68}
OUTLINED: dict[str, Callable[[Path], Donor]] = {
    "acrin001-abd": abdomen.acrin001,
    "ctpe0117": thorax.ctpe0117,
    "crlm1006": abdomen.crlm1006,
}
MASKS = {"liver": 5, "artery": 52, "venoussystem": 63, "portalvein": 64}


class Outlined(NamedTuple):
    """A development volume for peers."""

    name: str
    ct: Path
    labels: Path


def outlined(root: Path, out: Path) -> Iterator[Outlined]:
    """All volumes with organs, the NIfTI files written where they are not there yet. Needs nibabel."""
    reference = root / "totalseg-reference"
    example = (reference / "example_ct.nii.gz", reference / "example_seg_fast_force_split.nii.gz")
    yield Outlined("totalseg-ct", *example)
    for name, make in OUTLINED.items():
        yield _written(out / name, root, name, lambda root, make=make: numbered(make(root).labels))
    yield _written(out / "ircad17", root, "ircad17", _ircad17)


def numbered(organs: Labels) -> NDArray[np.uint8]:
    """Labels[slice, row, column], columns from the patient's right to left -> TotalSegmentator's numbers."""
    table = np.zeros(256, np.uint8)
    for organ, number in NUMBERS.items():
        table[organ] = number
    found = table[organs]
    middle = _middle(organs)
    for half, changes in ((found[..., middle:], LEFT), (found[..., :middle], RIGHT)):
        for number, other in changes.items():
            half[half == number] = other
    return found


def _middle(organs: Labels) -> int:
    columns = np.flatnonzero((organs > 0).any(axis=(0, 1)))
    return int(columns.mean()) if len(columns) else organs.shape[2] // 2


def _ircad17(root: Path) -> NDArray[np.uint8]:
    masks = {number: read_nifti(root / "masks_nii" / f"{name}.nii.gz", turned=False) for name, number in MASKS.items()}
    found = np.zeros(next(iter(masks.values())).shape, np.uint8)
    for number, mask in masks.items():
        found[mask > 0] = number
    return found[::2]  # the series holds every second slice


def _written(folder: Path, root: Path, name: str, labels: Callable[[Path], NDArray[np.uint8]]) -> Outlined:
    made = Outlined(name, folder / "ct.nii.gz", folder / "labels.nii.gz")
    if not made.labels.exists():
        folder.mkdir(parents=True, exist_ok=True)
        scan = read_series(root / name)
        _save(made.ct, scan.hounsfield.astype(np.int16), scan.spacing_mm)
        _save(made.labels, labels(root), scan.spacing_mm)
    return made


def _save(path: Path, values: NDArray[np.generic], spacing_mm: tuple[float, float, float]) -> None:
    """values[slice, row, column], feet to head, front to back, right to left, as NIfTI wants them."""
    import nibabel

    slices, rows, columns = spacing_mm
    nibabel.save(nibabel.Nifti1Image(values.transpose(2, 1, 0), np.diag([-columns, -rows, slices, 1.0])), path)


if __name__ == "__main__":
    for volume in outlined(Path(sys.argv[1]), Path(sys.argv[2])):
        print(*volume)
