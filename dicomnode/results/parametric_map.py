"""Parametric Map: the raw maps as numbers, one object a method, for who wants to compute with them (PS3.3 A.75).

It holds the key slices, also where every slice has a map: OHIF 3.12 would lay the frames of a complete one on the wrong
slices (docs/viewers.md). Without a frame of reference none is made: the IOD requires one, and a map that does not know
where it lies is of no use.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from pydicom.dataset import Dataset

from dicomnode.identity import MANUFACTURER
from dicomnode.results import codes
from dicomnode.results.envelope import code_item, encode
from dicomnode.results.multiframe import Frame, derive, has_geometry, multiframe
from dicomnode.results.options import ResultObject
from dicomnode.results.setting import Setting, series_uid
from dicomnode.results.wording import Words, method_name
from inference.findings import Findings, SliceMap

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"


def compose(findings: Findings, setting: Setting) -> Iterator[ResultObject]:
    """One Parametric Map a method, its frames in the order of the volume."""
    for index, method in enumerate(dict.fromkeys(m.method for m in findings.maps)):
        shown = [m for m in findings.maps if m.method == method and m.slice_index in findings.key_slices]
        maps = [m for m in shown if has_geometry(setting.sources[m.slice_index])]
        if maps:
            maps.sort(key=lambda m: m.slice_index)
            yield encode(_map(maps, index, setting), "parametric map")


def _map(maps: Sequence[SliceMap], index: int, setting: Setting) -> Dataset:
    frames = [Frame(setting.sources[m.slice_index], rank) for rank, m in enumerate(maps, start=1)]
    dataset = multiframe(setting, "parametric map", PARAMETRIC_MAP, "OT", index, frames)
    # A series of its own for each method: OHIF shows the first Parametric Map of a series only.
    dataset.SeriesInstanceUID = series_uid(setting, f"parametric map {maps[0].method}")
    dataset.SeriesDescription = f"{setting.answer} {setting.series_name} {method_name(maps[0].method)}"[:64].rstrip()
    derive(dataset, frames, codes.CALCULATION)
    dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    dataset.ContentQualification = "RESEARCH"
    dataset.ContentLabel = "MAP"
    dataset.ContentDescription = Words(setting.options.language).map_name(maps[0].method)[:64]
    dataset.ContentCreatorName = f"{MANUFACTURER}^"
    dataset.BurnedInAnnotation = dataset.RecognizableVisualFeatures = "NO"
    dataset.LossyImageCompression = "00"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.AcquisitionContextSequence = []
    dataset.BitsAllocated = 32
    pixels = np.stack([m.values for m in maps]).astype("<f4")
    dataset.FloatPixelData = pixels.tobytes()
    _write_mapping(dataset.SharedFunctionalGroupsSequence[0], maps[0], float(pixels.max(initial=0.0)), dataset)
    return dataset


def _write_mapping(shared: Dataset, one: SliceMap, peak: float, dataset: Dataset) -> None:
    """What a stored number means: the map's own unit, none; shown from 0 to the series' full heat."""
    transformation, window, kind, mapping = Dataset(), Dataset(), Dataset(), Dataset()
    transformation.RescaleIntercept, transformation.RescaleSlope, transformation.RescaleType = "0", "1", "US"
    scale = one.scale if one.scale > 0 else 1.0
    window.WindowCenter, window.WindowWidth = f"{scale / 2:.8g}", f"{scale:.8g}"
    window.VOILUTFunction = "LINEAR_EXACT"
    kind.FrameType = dataset.ImageType
    mapping.LUTExplanation = dataset.ContentDescription
    mapping.LUTLabel = method_name(one.method)[:16]
    mapping.DoubleFloatRealWorldValueFirstValueMapped = 0.0
    mapping.DoubleFloatRealWorldValueLastValueMapped = max(peak, scale)
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, 1.0
    mapping.MeasurementUnitsCodeSequence = [code_item(codes.NO_UNITS)]
    quantity = Dataset()
    quantity.ValueType = "CODE"
    quantity.ConceptNameCodeSequence = [code_item(codes.QUANTITY)]
    quantity.ConceptCodeSequence = [code_item(codes.explanation(one.method))]
    mapping.QuantityDefinitionSequence = [quantity]
    shared.PixelValueTransformationSequence = [transformation]
    shared.FrameVOILUTSequence = [window]
    shared.ParametricMapFrameTypeSequence = [kind]
    shared.RealWorldValueMappingSequence = [mapping]
