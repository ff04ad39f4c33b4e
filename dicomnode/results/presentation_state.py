"""Grayscale Softcopy Presentation State: how to look at the key slices (PS3.3 A.33.1).

The window of the phase, the region in which the answer was seen and the answer in words, laid over the source slices
without touching them. Few viewers apply one that they did not make; hence an option.
"""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from dicomnode.identity import MANUFACTURER
from dicomnode.results import regions
from dicomnode.results.envelope import encode, envelope, reference
from dicomnode.results.options import ResultObject
from dicomnode.results.setting import Setting, Source, date_of, time_of
from dicomnode.results.wording import Words
from inference.findings import Findings
from inference.volume import Volume

SOFTCOPY_PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
_LAYER = "RESULT"


def compose(findings: Findings, volume: Volume, setting: Setting) -> list[ResultObject]:
    """One state over all key slices; none where there are none."""
    if not findings.key_slices:
        return []
    from inference.rendering.colour import WINDOWS_HU

    black, white = WINDOWS_HU[findings.phase]
    sources = [setting.sources[index] for index in findings.key_slices]
    dataset = envelope(setting, "presentation state", SOFTCOPY_PRESENTATION_STATE, "PR")
    _write_identification(dataset, setting)
    dataset.ReferencedSeriesSequence = [_series(sources)]
    _write_window(dataset, setting, (black + white) / 2, white - black)
    dataset.DisplayedAreaSelectionSequence = [_displayed_area(volume, sources[0])]
    dataset.GraphicLayerSequence = [_layer()]
    drawn = zip(findings.key_slices, sources, strict=True)
    dataset.GraphicAnnotationSequence = [
        _annotation(source, regions.answer_region(findings, volume, index), volume, setting) for index, source in drawn
    ]
    return [encode(dataset, "presentation state")]


def _write_identification(dataset: Dataset, setting: Setting) -> None:
    dataset.ContentLabel = "RESULT"
    dataset.ContentDescription = f"{setting.answer} {setting.series_name}"[:64]
    dataset.ContentCreatorName = f"{MANUFACTURER}^"
    dataset.PresentationCreationDate, dataset.PresentationCreationTime = date_of(setting), time_of(setting)
    del dataset.ContentDate, dataset.ContentTime


def _write_window(dataset: Dataset, setting: Setting, centre: float, width: float) -> None:
    slope, intercept = setting.study.get("RescaleSlope"), setting.study.get("RescaleIntercept")
    if slope is not None and intercept is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = slope, intercept, "HU"
    item = Dataset()
    item.WindowCenter, item.WindowWidth = f"{centre:g}", f"{width:g}"
    dataset.SoftcopyVOILUTSequence = [item]
    dataset.PresentationLUTShape = "IDENTITY"


def _series(sources: Sequence[Source]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = sources[0].header.SeriesInstanceUID
    item.ReferencedImageSequence = _images(sources)
    return item


def _images(sources: Sequence[Source]) -> list[Dataset]:
    """Each instance once, with all of its frames that are meant."""
    frames: dict[tuple[str, str], list[int]] = {}
    for source in sources:
        named = frames.setdefault((source.sop_class_uid, source.sop_instance_uid), [])
        named.extend([] if source.frame is None else [source.frame])
    items = []
    for (sop_class_uid, sop_instance_uid), numbers in frames.items():
        item = reference(sop_class_uid, sop_instance_uid)
        if numbers:
            item.ReferencedFrameNumber = numbers
        items.append(item)
    return items


def _displayed_area(volume: Volume, source: Source) -> Dataset:
    item = Dataset()
    item.DisplayedAreaTopLeftHandCorner = [1, 1]
    item.DisplayedAreaBottomRightHandCorner = [volume.shape[1], volume.shape[0]]
    item.PresentationSizeMode = "SCALE TO FIT"
    if source.header.get("PixelSpacing"):
        item.PresentationPixelSpacing = source.header.PixelSpacing
    else:
        item.PresentationPixelAspectRatio = [1, 1]
    return item


def _layer() -> Dataset:
    item = Dataset()
    item.GraphicLayer, item.GraphicLayerOrder = _LAYER, 1
    return item


def _annotation(source: Source, polygon: regions.Polygon, volume: Volume, setting: Setting) -> Dataset:
    graphic, text, item = Dataset(), Dataset(), Dataset()
    graphic.GraphicAnnotationUnits, graphic.GraphicDimensions = "PIXEL", 2
    graphic.NumberOfGraphicPoints, graphic.GraphicType = len(polygon), "POLYLINE"
    # Here the first pixel's centre is (1, 1), PS3.3 C.10.5.1.2; in a report its corner is (0, 0).
    graphic.GraphicData = [float(value) + 0.5 for value in polygon.ravel()]
    graphic.GraphicFilled = "N"
    text.AnchorPointAnnotationUnits, text.AnchorPointVisibility = "PIXEL", "N"
    text.AnchorPoint = [volume.shape[1] * 0.03, volume.shape[0] * 0.97]
    text.UnformattedTextValue = f"{setting.answer}. {Words(setting.options.language).intended_use}"
    item.ReferencedImageSequence = _images([source])
    item.GraphicLayer = _LAYER
    item.GraphicObjectSequence, item.TextObjectSequence = [graphic], [text]
    return item
