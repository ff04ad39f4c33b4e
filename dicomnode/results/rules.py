"""The rules of the gate, each a function that yields what is wrong with an object.

They tell it by keyword and never by value, for values are patient data. The modules and types of attributes come from
PS3.3 by way of `standard`; the other rules are the project's own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from pydicom.config import RAISE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import validate_value

from dicomnode.identity import IMPLEMENTATION_CLASS_UID, MANUFACTURER
from dicomnode.results import codes, standard, uids
from dicomnode.results.envelope import SERIES_NUMBERS
from dicomnode.results.normalise import CHARACTER_SET, IDENTITY, normalise, study_keywords


@dataclass(frozen=True)
class Known:
    """What an object may refer to and must agree with."""

    sources: tuple[Dataset, ...]
    """Headers of the instances received, as received."""
    siblings: tuple[tuple[str, str], ...]
    """(SOP class, SOP instance) of the objects made with it."""

    @cached_property
    def classes(self) -> dict[str, str]:
        """SOP class by SOP instance of all that exists."""
        received = {str(s.get("SOPInstanceUID")): str(s.get("SOPClassUID")) for s in self.sources}
        return {**received, **{instance: sop_class for sop_class, instance in self.siblings}}

    @cached_property
    def uids(self) -> frozenset[str]:
        """What the source is known by, as received."""
        return frozenset(str(s.get(keyword)) for s in self.sources for keyword in _UID_KEYWORDS)

    @cached_property
    def study(self) -> Dataset:
        """The normalised header that study-level attributes come from."""
        return normalise(self.sources[0])


Rule = Callable[[Dataset, Known], Iterator[str]]


def _walk(dataset: Dataset, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Dataset, DataElement]]:
    """(path, item, element) of every element, nested ones included."""
    for element in dataset:
        yield path, dataset, element
        if element.VR == "SQ":
            for item in element.value:
                yield from _walk(item, (*path, element.keyword))


_BY_VALUE_TYPE = frozenset({"sr-document-content"})
"""Modules whose tables are unions of macros that depend on Value Type; `_sr_tree` checks what they hold."""

_GROUPS = "functional-groups"
"""Functional groups may be shared or per frame and each macro has its own usage; `_frames` checks those we write."""


def _modules(dataset: Dataset, known: Known) -> Iterator[str]:
    """Types 1 and 2 of the mandatory modules of its IOD, PS3.3 annexes A and C, nested sequences included."""
    try:
        modules = standard.modules(str(dataset.get("SOPClassUID", "")))
    except KeyError:
        yield "SOP class is in no table"
        return
    for module, usage in modules:
        if usage == "M" and module not in _BY_VALUE_TYPE:
            yield from _attributes(dataset, module, (), nested=not module.endswith(_GROUPS))


def _attributes(item: Dataset, module: str, path: tuple[str, ...], nested: bool = True) -> Iterator[str]:
    for attribute in standard.at_path(module, path):
        where = ".".join((*path, attribute.keyword))
        present = attribute.keyword in item
        if attribute.type in ("1", "2") and not present:
            yield f"{module}: {where} (type {attribute.type}) is missing"
        elif present and attribute.type in ("1", "1C") and _is_empty(item[attribute.keyword]):
            yield f"{module}: {where} (type {attribute.type}) is empty"
        elif present and nested and item[attribute.keyword].VR == "SQ":
            for child in item[attribute.keyword].value:
                yield from _attributes(child, module, (*path, attribute.keyword))


def _is_empty(element: DataElement) -> bool:
    return element.is_empty if element.VR != "SQ" else len(element.value) == 0


def _study(dataset: Dataset, known: Known) -> Iterator[str]:
    """Patient and study attributes are those of the source: one study, one patient."""
    for keyword in study_keywords():
        ours, theirs = dataset.get(keyword), known.study.get(keyword)
        if (ours or None) != (theirs or None):
            yield f"{keyword} differs from the source's"


def _own_uids(dataset: Dataset, known: Known) -> Iterator[str]:
    """Instance and series are named by us, below the root of derived UIDs, and never as something received is."""
    taken = {str(s.get(k)) for s in known.sources for k in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")}
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        value = str(dataset.get(keyword, ""))
        if not value.startswith(uids.ROOT):
            yield f"{keyword} is not below {uids.ROOT}"
        if value in taken:
            yield f"{keyword} is the source's"


def _references(dataset: Dataset, known: Known) -> Iterator[str]:
    """What is referred to exists, has that class and those frames; a predecessor was sent before and is not at hand."""
    for path, item, element in _walk(dataset):
        if element.keyword != "ReferencedSOPInstanceUID" or path[0] in _FOREIGN_REFERENCES:
            continue
        expected = known.classes.get(str(element.value))
        if expected is None:
            yield f"{'.'.join(path)} refers to an instance that was not received"
        elif expected != str(item.get("ReferencedSOPClassUID")):
            yield f"{'.'.join(path)} gives the wrong SOP class"
        elif not _has_frames(item, known):
            yield f"{'.'.join(path)} refers to a frame that does not exist"


_FOREIGN_REFERENCES = frozenset(
    {"PredecessorDocumentsSequence", "ReferencedStudySequence", "ReferencedPatientSequence", "ReferencedVisitSequence"}
)


def _has_frames(item: Dataset, known: Known) -> bool:
    uid = str(item.ReferencedSOPInstanceUID)
    counts = [int(s.get("NumberOfFrames") or 1) for s in known.sources if str(s.get("SOPInstanceUID")) == uid]
    frames = item.get("ReferencedFrameNumber")
    values = [] if frames is None else [frames] if isinstance(frames, int) else list(frames)
    return not counts or all(1 <= int(frame) <= max(counts) for frame in values)


def _codes(dataset: Dataset, known: Known) -> Iterator[str]:
    """Codes are those of `codes`; what the study brought along is the source's."""
    used = set()
    for path, item, element in _walk(dataset):
        if element.keyword != "CodeValue" or path[0] in study_keywords():
            continue
        scheme = str(item.get("CodingSchemeDesignator", ""))
        used.add(scheme)
        if (str(element.value), scheme) not in codes.ALL and path[0] not in _LIBRARY_CODES:
            yield f"{'.'.join(path)}: code ({element.value}, {scheme}) is not in the code table"
    told = {str(i.CodingSchemeDesignator) for i in dataset.get("CodingSchemeIdentificationSequence", ())}
    for scheme in sorted(used & set(codes.SCHEMES) - told):
        yield f"coding scheme {scheme} is not identified"


_LIBRARY_CODES = frozenset({"AcquisitionContextSequence", "DimensionOrganizationSequence"})


def _private(dataset: Dataset, known: Known) -> Iterator[str]:
    """No private attribute, at any depth."""
    for path, _, element in _walk(dataset):
        if element.tag.is_private:
            yield f"private attribute {element.tag} at {'.'.join(path) or 'the root'}"


def _pixels(dataset: Dataset, known: Known) -> Iterator[str]:
    """Pixel data is as long as rows, columns, samples and frames say, padded to an even number of bytes."""
    keyword = next((k for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in dataset), None)
    if keyword is None:
        if "Rows" in dataset:
            yield "Rows, but no pixel data"
        return
    bits = int(dataset.BitsAllocated) * int(dataset.SamplesPerPixel) * int(dataset.get("NumberOfFrames", 1))
    expected = -(-int(dataset.Rows) * int(dataset.Columns) * bits // 8)
    if len(dataset[keyword].value) != expected + expected % 2:
        yield f"{keyword} has {len(dataset[keyword].value)} bytes, expected {expected + expected % 2}"


def _frames(dataset: Dataset, known: Known) -> Iterator[str]:
    """Each frame of a multi-frame object has its functional groups; where they have planes, each has a position."""
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if groups is None:
        return
    if len(groups) != int(dataset.NumberOfFrames):
        yield f"{len(groups)} functional groups for {dataset.NumberOfFrames} frames"
    if any(not group.get("PlanePositionSequence") for group in groups):
        yield "a frame has no Plane Position"
    for macro in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        if macro not in shared and any(macro not in group for group in groups):
            yield f"{macro} is neither shared nor in every frame"


def _values(dataset: Dataset, known: Known) -> Iterator[str]:
    """Every value has the form of its value representation, PS3.5 6.2; what identifies is let pass as it came."""
    for path, _, element in _walk(dataset):
        if element.VR in ("SQ", "OB", "OW", "OF", "OD", "OL", "UN") or element.keyword in IDENTITY - _UID_KEYWORDS:
            continue
        if element.VR == "UI" and str(element.value) in known.uids:
            continue
        values = element.value if element.VM > 1 else [element.value]
        try:
            for value in values:
                validate_value(element.VR, str(value) if element.VR in _TEXTUAL else value, RAISE)
        except (ValueError, TypeError):
            yield f"{'.'.join((*path, element.keyword))} has no valid {element.VR} value"


_UID_KEYWORDS = frozenset(
    {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID"}
)

_TEXTUAL = frozenset({"DS", "IS", "DA", "TM", "DT", "PN", "UI"})


def _text(dataset: Dataset, known: Known) -> Iterator[str]:
    """Text is UTF-8, and says so."""
    if dataset.get("SpecificCharacterSet") != CHARACTER_SET:
        yield f"SpecificCharacterSet is not {CHARACTER_SET}"


def _encoding(dataset: Dataset, known: Known) -> Iterator[str]:
    """The file's meta information agrees with the dataset; Explicit VR Little Endian."""
    meta = getattr(dataset, "file_meta", Dataset())
    if meta.get("TransferSyntaxUID") != ExplicitVRLittleEndian:
        yield "not in Explicit VR Little Endian"
    if meta.get("MediaStorageSOPInstanceUID") != dataset.get("SOPInstanceUID"):
        yield "meta information names another instance"
    if meta.get("MediaStorageSOPClassUID") != dataset.get("SOPClassUID"):
        yield "meta information names another SOP class"


def _marks(dataset: Dataset, known: Known) -> Iterator[str]:
    """It is told apart from what was acquired: maker, creator, series number, producer with its Device UID."""
    if dataset.get("Manufacturer") != MANUFACTURER:
        yield "Manufacturer is not this node"
    if dataset.get("InstanceCreatorUID") != IMPLEMENTATION_CLASS_UID:
        yield "InstanceCreatorUID is not this node's"
    if int(dataset.get("SeriesNumber") or 0) <= min(SERIES_NUMBERS.values()):
        yield "SeriesNumber is not above 9000"
    if dataset.get("Modality") == "CT":
        yield "Modality is CT: it could be judged again"
    equipment = dataset.get("ContributingEquipmentSequence", ())
    if not any(i.get("DeviceUID") and i.get("SoftwareVersions") and i.get("ManufacturerModelName") for i in equipment):
        yield "ContributingEquipmentSequence does not name the algorithm with its Device UID"


def _burned_in(dataset: Dataset, known: Known) -> Iterator[str]:
    """A picture with words in it says so, and is RGB."""
    if dataset.get("ConversionType") is None or dataset.get("Modality") == "DOC":
        return
    if dataset.get("BurnedInAnnotation") != "YES":
        yield "BurnedInAnnotation is not YES"
    if dataset.get("PhotometricInterpretation") != "RGB":
        yield "PhotometricInterpretation is not RGB"
    if not dataset.get("SourceImageSequence"):
        yield "SourceImageSequence is missing"


def _sr_tree(dataset: Dataset, known: Known) -> Iterator[str]:
    """A report is complete and final, its containers SEPARATE; each group has a region on a slice, or a segment."""
    if dataset.get("Modality") != "SR":
        return
    if (dataset.get("CompletionFlag"), dataset.get("PreliminaryFlag")) != ("COMPLETE", "FINAL"):
        yield "not COMPLETE and FINAL"
    for _, item, element in _walk(dataset):
        if element.keyword == "ContinuityOfContent" and element.value != "SEPARATE":
            yield "a container is not SEPARATE"
        if element.keyword == "ContentSequence" and item is not dataset and _is_group(item):
            regions = [c for c in element.value if c.ValueType in ("SCOORD", "SCOORD3D")]
            drawn = any(len(r.get("GraphicData") or ()) > 1 and r.get("ContentSequence") for r in regions)
            if not drawn and not any(_is_segment(child) for child in element.value):
                yield "a measurement group has no region on a slice"


def _is_segment(item: Dataset) -> bool:
    referred = item.get("ReferencedSOPSequence") or ()
    return item.ValueType == "IMAGE" and any(r.get("ReferencedSegmentNumber") for r in referred)


def _is_group(item: Dataset) -> bool:
    names = item.get("ConceptNameCodeSequence") or ()
    return any(n.get("CodeValue") == codes.MEASUREMENT_GROUP.value for n in names)


RULES: dict[str, Rule] = {
    "iod.attributes": _modules,
    "study.same": _study,
    "uid.own": _own_uids,
    "reference.resolves": _references,
    "code.known": _codes,
    "private.none": _private,
    "pixel.length": _pixels,
    "frame.groups": _frames,
    "value.form": _values,
    "text.utf-8": _text,
    "encoding": _encoding,
    "mark.own": _marks,
    "picture.burned-in": _burned_in,
    "report.tree": _sr_tree,
}
"""Every rule by its name."""
