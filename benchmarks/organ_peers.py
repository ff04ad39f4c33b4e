"""What TotalSegmentator's and boa-contrast's phase models make of the same organs: many series in one call each.

Both run in an interpreter of their own, as in phase_peers.py. They know more organs than are segmented here, and treat
those that are missing as missing; boa-contrast reads statistics of its own from the same masks.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from phase_peers import BOA_REGIONS
from phase_peers import ORGANS as MEDIANS

from inference.phantom.organs import Organ
from inference.phases import Phase
from inference.segment import OrganMasks
from inference.volume import Volume

Labels = NDArray[np.uint8]
NUMBERS = {
    Organ.SPLEEN: 1,
    Organ.LIVER: 5,
    Organ.BLADDER: 21,
    Organ.AORTA: 52,
    Organ.INFERIOR_VENA_CAVA: 63,
    Organ.PORTAL_VEIN: 64,
}
"""Organ -> its number in TotalSegmentator's label map; the kidneys are 2 on the right and 3 on the left."""
KIDNEY = (Organ.KIDNEY_CORTEX, Organ.KIDNEY_MEDULLA, Organ.RENAL_PELVIS)
SECONDS: tuple[tuple[float, Phase], ...] = (
    (10.0, Phase.UNENHANCED),
    (60.0, Phase.ARTERIAL),
    (100.0, Phase.PORTAL_VENOUS),
    (float("inf"), Phase.DELAYED),
)
"""TotalSegmentator's seconds -> phase: below 10 native, below 60 arterial, below 100 portal venous; it has no name for
later, which is counted as delayed here in its favour."""
CLASSES = {
    "NON_CONTRAST": Phase.UNENHANCED,
    "PULMONARY": Phase.ARTERIAL,
    "ARTERIAL": Phase.ARTERIAL,
    "VENOUS": Phase.PORTAL_VENOUS,
    "UROGRAPHIC": Phase.DELAYED,
}
_TOTALSEGMENTATOR = """
import json, pickle, sys
import numpy as np
models = pickle.load(open(sys.argv[1], "rb"))
rows = json.load(open(sys.argv[2]))
print(json.dumps([float(np.mean([m.predict([row])[0] for m in models.values()])) for row in rows]))
"""
_BOA = """
import json, sys
from pathlib import Path
from boa_contrast.features.feature_builder import FeatureBuilder
from boa_contrast.ml.contrast_recognition import ContrastRecognition
model, said = ContrastRecognition("iv_phase"), []
for folder in sorted(Path(sys.argv[1]).iterdir(), key=lambda path: int(path.name)):
    builder = FeatureBuilder("x", total_segmentation_name="labels.nii.gz", label_map=json.loads(sys.argv[2]))
    features = builder.compute_features(folder / "ct.nii.gz", folder)
    said.append(next(model.predict_batch([features]))["ensemble_predicted_class"])
print(json.dumps(said))
"""

Case = tuple[Volume, OrganMasks]


def totalsegmentator(cases: Sequence[Case], wheels: Path, python: Path) -> list[Phase] | str:
    """A phase for each case, or why there is none."""
    model = next(wheels.rglob("contrast_phase_classifiers_*.pkl"), None)
    if model is None:
        return f"skipped: no contrast_phase_classifiers_*.pkl under {wheels}"
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        rows.write_text(json.dumps([_medians(volume, masks) for volume, masks in cases]), encoding="utf-8")
        found = _run(python, _TOTALSEGMENTATOR, str(model), str(rows))
    if isinstance(found, str):
        return found
    return [next(phase for limit, phase in SECONDS if float(seconds) < limit) for seconds in found]


def boa(cases: Sequence[Case], python: Path) -> list[Phase] | str:
    """A phase for each case, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        for number, (volume, masks) in enumerate(cases):
            _write(Path(folder) / str(number), volume, masks)
        found = _run(python, _BOA, folder, json.dumps(BOA_REGIONS))
    return found if isinstance(found, str) else [CLASSES[str(name)] for name in found]


def _medians(volume: Volume, masks: OrganMasks) -> list[float]:
    """Median HU of the organs that TotalSegmentator's regressors read, in their order; 0 for what is missing."""
    hounsfield, labels = _arrays(volume, masks)
    found = [
        float(np.median(hounsfield[labels == number])) if (labels == number).any() else 0.0
        for number in MEDIANS.values()
    ]
    return [*found, 0.0, 0.0, 0.0, 0.0]


def _arrays(volume: Volume, masks: OrganMasks) -> tuple[NDArray[np.float32], Labels]:
    """(hounsfield, TotalSegmentator's numbers)[slice, row, column] of the slices that were segmented, upright."""
    hounsfield = np.stack([volume.upright(volume.slice(i)) for i in masks.slice_indices])
    labels = np.zeros(hounsfield.shape, np.uint8)
    upright = volume.upright(masks.labels)  # type: ignore[arg-type]
    for number, organ in enumerate(masks.organs, start=1):
        if organ in NUMBERS:
            labels[upright == number] = NUMBERS[organ]
        elif organ in KIDNEY:
            right = np.arange(hounsfield.shape[2]) < hounsfield.shape[2] / 2
            labels[(upright == number) & right] = 2
            labels[(upright == number) & ~right] = 3
    return hounsfield, labels


def _write(folder: Path, volume: Volume, masks: OrganMasks) -> None:
    """ct.nii.gz and labels.nii.gz, axes to the right, the front and the head."""
    import nibabel

    folder.mkdir(parents=True)
    indices = list(masks.slice_indices)
    between = float(np.median(np.diff(np.array(volume.positions_mm)[indices]))) if len(indices) > 1 else 5.0
    affine = np.diag([volume.pixel_spacing_mm[1], volume.pixel_spacing_mm[0], between, 1.0])
    for name, values in zip(("ct", "labels"), _arrays(volume, masks), strict=True):
        turned = np.ascontiguousarray(values[:, ::-1, ::-1].transpose(2, 1, 0)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(turned, affine), folder / f"{name}.nii.gz")


def _run(python: Path, script: str, *arguments: str) -> "list[object] | str":
    done = subprocess.run([str(python), "-c", script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"skipped: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}"
    found: list[object] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def readings(cases: Sequence[Case], wheels: Path, python: Path) -> Iterator[tuple[str, list[Phase] | str]]:
    """(name, phase of each case or why not) for both."""
    yield "TotalSegmentator", totalsegmentator(cases, wheels, python)
    yield "boa-contrast", boa(cases, python)
