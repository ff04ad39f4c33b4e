"""The counterfactual as a cine of Secondary Captures: synthetic images that nobody can take for an acquisition.

Image Type (0008,0008) is DERIVED, SECONDARY, SYNTHETIC; Derivation Description (0008,2111) and Derivation Code Sequence
(0008,9215) say that it is no image of the patient; the words are burned into every frame. The frames carry no position,
orientation or frame of reference: no viewer may lay them over the CT. They are a series of their own.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicomnode.results import codes, uids
from dicomnode.results.capture import MULTI_FRAME_TRUE_COLOR, SECONDARY_CAPTURE, caption_of, refer_to, rgb_image
from dicomnode.results.envelope import code_item, encode, scheme_items
from dicomnode.results.options import ResultObject
from dicomnode.results.setting import Setting
from inference.german import PHASES as GERMAN_PHASES
from inference.phases import PHASES, Phase

if TYPE_CHECKING:
    from inference.counterfactual.series import Counterfactual
    from inference.counterfactual.walk import Walk

KIND = "counterfactual"
FRAME_MS = 400
"""Frame Time (0018,1063): slow enough to read the bar."""
_FRAME_TIME = 0x00181063

_TEXTS = {
    "en": (
        "SYNTHETIC IMAGE - not the patient. Drawn from slice {number}, moved from {start} to {target}{where}. "
        "Not for diagnostic use.",
        "SYNTHETIC not the patient",
    ),
    "de": (
        "SYNTHETISCHES BILD - nicht der Patient. Erzeugt aus Schicht {number}, bewegt von {start} nach {target}{where}."
        " Nicht für die Diagnostik.",
        "SYNTHETISCH nicht der Patient",
    ),
}
"""Language -> (derivation description, beginning of the series description)."""
_DEVIATION = {"en": "sd", "de": "SD"}


def compose(found: "Counterfactual", setting: Setting) -> list[ResultObject]:
    """One multi-frame cine, or one instance a step, as the options have it; none where there is no walk."""
    from inference.rendering.counterfactual import frames

    if found.walk is None:
        return []
    pictures = frames(found, caption_of(setting))
    if setting.options.capture == "multi-frame":
        return [encode(_cine(found, np.stack(pictures), setting), KIND)]
    return [encode(made, KIND) for made in _singles(found, found.walk, pictures, setting)]


def _cine(found: "Counterfactual", pixels: NDArray[np.uint8], setting: Setting) -> Dataset:
    """Multi-frame True Color Secondary Capture (PS3.3 A.8.5) with the Cine module (C.7.6.5)."""
    dataset = _synthetic(found, pixels, setting, 0, MULTI_FRAME_TRUE_COLOR, "")
    dataset.NumberOfFrames = len(pixels)
    dataset.FrameIncrementPointer = _FRAME_TIME
    dataset.FrameTime = FRAME_MS
    dataset.RecommendedDisplayFrameRate = round(1000 / FRAME_MS)
    return dataset


def _singles(
    found: "Counterfactual", walk: "Walk", pictures: tuple[NDArray[np.uint8], ...], setting: Setting
) -> Iterator[Dataset]:
    language = setting.options.language
    rows = zip(pictures, walk.steps_sd, walk.logits.argmax(axis=1), strict=True)
    for index, (picture, step, said) in enumerate(rows):
        where = f", {step:+g} {_DEVIATION[language]}: {_phase(PHASES[int(said)], language)}"
        yield _synthetic(found, picture[None], setting, index, SECONDARY_CAPTURE, where)


def _synthetic(
    found: "Counterfactual", pixels: NDArray[np.uint8], setting: Setting, index: int, sop_class_uid: str, where: str
) -> Dataset:
    dataset = rgb_image(setting, sop_class_uid, index, pixels, KIND)
    generator = f"generator {found.model.weights_sha256}"
    dataset.SeriesInstanceUID = uids.derive("series", KIND, generator, setting.key)
    dataset.SOPInstanceUID = uids.derive("instance", KIND, str(index), generator, setting.key)
    language = setting.options.language
    description, series = _TEXTS[language]
    dataset.ImageType = ["DERIVED", "SECONDARY", "SYNTHETIC"]
    dataset.DerivationDescription = description.format(
        number=found.slice_index + 1,
        start=_phase(found.answer, language),
        target=_phase(found.target, language),
        where=where,
    )
    dataset.DerivationCodeSequence = [code_item(codes.SYNTHETIC, language)]
    dataset.CodingSchemeIdentificationSequence = scheme_items([codes.OWN_SCHEME])
    dataset.SeriesDescription = f"{series} {setting.series_name}"[:64].rstrip()
    dataset.PatientOrientation = ""
    refer_to(dataset, [setting.sources[found.slice_index]])
    return dataset


def _phase(phase: Phase, language: str) -> str:
    return GERMAN_PHASES[phase] if language == "de" else phase.value
