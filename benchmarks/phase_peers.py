"""The same labelled volumes through the models of others: what TotalSegmentator and boa-contrast say of its organs.

Both judge statistics of organs, so they need a segmentation where the shipped network needs none. They run in an
interpreter of their own (--peer-python) in which `boa-contrast`, `nibabel` and `xgboost` are installed, with the
scikit-learn that their models were pickled with (< 1.4); --wheels is the folder of the unpacked TotalSegmentator wheel.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from inference.errors import CannotJudge
from inference.judge import judge
from inference.models import Bundle
from inference.volume import Volume

ORGANS = {
    "liver": 5, "pancreas": 7, "urinary_bladder": 21, "gallbladder": 4, "heart": 51, "aorta": 52,
    "inferior_vena_cava": 63, "portal_vein_and_splenic_vein": 64, "iliac_vena_left": 67, "iliac_vena_right": 68,
    "iliac_artery_left": 65, "iliac_artery_right": 66, "pulmonary_vein": 53, "brain": 90, "colon": 20,
    "small_bowel": 18,
}  # fmt: skip
"""The organs whose medians TotalSegmentator's regressors read, in their order, and their numbers in its label map.
Four vessels of the neck follow; like every organ that is missing they are 0."""

BINS = ((10.0, "native"), (30.0, "arterial early"), (60.0, "arterial late"), (100.0, "portal venous"), (1e9, "late"))
"""Seconds up to which TotalSegmentator gives a phase its name."""

_TOTALSEGMENTATOR = """
import json, pickle, sys
import numpy as np
models = pickle.load(open(sys.argv[1], "rb"))
features = json.loads(sys.argv[2])
print(json.dumps(float(np.mean([model.predict([features])[0] for model in models.values()]))))
"""
BOA_REGIONS = {
    "kidney_right": 2, "kidney_left": 3, "gallbladder": 4, "liver": 5, "stomach": 6, "pancreas": 7, "small_bowel": 18,
    "duodenum": 19, "colon": 20, "urinary_bladder": 21, "aorta": 52, "inferior_vena_cava": 63,
    "portal_vein_and_splenic_vein": 64, "pulmonary_artery": 255,
}  # fmt: skip
"""boa-contrast's own numbers are those of TotalSegmentator 1; these are of version 2, which has no pulmonary artery."""
_BOA = """
import json, sys
from pathlib import Path
from boa_contrast.features.feature_builder import FeatureBuilder
from boa_contrast.ml.contrast_recognition import ContrastRecognition
ct, labels = Path(sys.argv[1]), Path(sys.argv[2])
builder = FeatureBuilder("x", total_segmentation_name=labels.name, label_map=json.loads(sys.argv[3]))
features = builder.compute_features(ct, labels.parent)
said = next(ContrastRecognition("iv_phase").predict_batch([features]))
print(json.dumps([said["ensemble_predicted_class"], float(max(said["ensemble_probas"]))]))
"""


def table(bundle: Bundle, root: Path, work: Path, truths: Mapping[str, str], wheels: Path, python: Path) -> str:
    """A line for each development volume that has organs, and what each model says of it."""
    sys.path.append(str(Path(__file__).parent / "phase_model"))
    from outlined import outlined

    rows = [("volume", "truth", "shipped model", "TotalSegmentator", "boa-contrast")]
    for name, ct, labels in outlined(root, work):
        said = (_ours(bundle, ct), _totalsegmentator(ct, labels, wheels, python), _boa(ct, labels, python))
        rows.append((name, truths.get(name, "unenhanced"), *said))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _arrays(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """array[slice, row, column] anterior-first and right-first, and its (slice, row, column) spacing."""
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.load(path))
    x, y, z = (float(step) for step in image.header.get_zooms()[:3])
    return np.asarray(image.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1], (z, y, x)


def _ours(bundle: Bundle, ct: Path) -> str:
    hounsfield, spacing = _arrays(ct)
    volume = Volume.from_array(np.ascontiguousarray(hounsfield, np.float32), spacing)
    try:
        found = judge(volume, bundle, maps=())
    except CannotJudge as error:
        return f"declined: {error.reason}"
    said = found.phase.value if found.phase else "indeterminate"
    return f"{said} ({found.confidence:.2f})"


def _totalsegmentator(ct: Path, labels: Path, wheels: Path, python: Path) -> str:
    model = next(wheels.rglob("contrast_phase_classifiers_*.pkl"), None)
    if model is None:
        return f"skipped: no contrast_phase_classifiers_*.pkl under {wheels}"
    hounsfield, _ = _arrays(ct)
    organs, _ = _arrays(labels)
    medians = [float(np.median(hounsfield[organs == i])) if (organs == i).any() else 0.0 for i in ORGANS.values()]
    seconds = _run(python, _TOTALSEGMENTATOR, str(model), json.dumps([*medians, 0.0, 0.0, 0.0, 0.0]))
    if not isinstance(seconds, float):
        return str(seconds)
    return f"{seconds:.0f} s: " + next(name for end, name in BINS if seconds < end)


def _boa(ct: Path, labels: Path, python: Path) -> str:
    said = _run(python, _BOA, str(ct.resolve()), str(labels.resolve()), json.dumps(BOA_REGIONS))
    return f"{said[0]} ({said[1]:.2f})" if isinstance(said, list) else str(said)


def _run(python: Path, script: str, *arguments: str) -> object:
    done = subprocess.run([str(python), "-c", script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"skipped: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'failed'}"
    return json.loads(done.stdout.strip().splitlines()[-1])
