"""What every object shares: patient, study, series, equipment and SOP common, in one place for all kinds.

The node's own objects are recognised by three attributes that survive transport: Manufacturer (0008,0070) is
"dicomnode", Instance Creator UID (0008,0014) is `uids.IMPLEMENTATION_CLASS_UID`, and Contributing Equipment holds an
item with purpose Processing Equipment (109102, DCM). The first is what a receiver checks, for it is in every IOD; the
file's Implementation Class UID (0002,0012) is ours as well, until an archive writes its own there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.results import codes, uids
from dicomnode.results.normalise import CHARACTER_SET, normalise, study_keywords
from dicomnode.results.options import MANUFACTURER, ResultContext, ResultObject, ResultOptions
from inference.models import ModelCard

SERIES_NUMBERS = {
    "capture": 9000,
    "report": 19000,
    "parametric map": 29000,
    "segmentation": 39000,
    "key objects": 49000,
    "presentation state": 59000,
    "pdf": 69000,
}
"""First series number of each kind; all above 9000, so that results are listed after what was acquired."""


@dataclass(frozen=True)
class Source:
    """One source slice: its header and, in a multi-frame instance, its frame."""

    received: Dataset
    """The header as it came."""
    frame: int | None = None
    """1-based frame number; None for a single-frame instance."""

    @cached_property
    def header(self) -> Dataset:
        """The clean header, see `normalise.normalise`; made when it is first asked for, as few slices are."""
        return normalise(self.received)

    @property
    def sop_class_uid(self) -> str:
        return str(self.received.get("SOPClassUID", ""))

    @property
    def sop_instance_uid(self) -> str:
        return str(self.received.get("SOPInstanceUID", ""))


@dataclass(frozen=True)
class Setting:
    """Everything that the objects of one part have in common."""

    sources: tuple[Source, ...]
    """One a slice, in the order of the volume."""
    options: ResultOptions
    context: ResultContext
    model: ModelCard | None
    """None where nothing was judged."""
    answer: str
    """The answer in capitals, as series descriptions begin with it: "AI PORTAL VENOUS 93%"."""
    flag: str
    """What a reader must know besides, as series descriptions end with it; empty: nothing."""
    key: str
    """Fingerprint of all that names the objects: input, model, generation, options, version."""

    @property
    def study(self) -> Dataset:
        """The clean header that study-level attributes are taken from."""
        return self.sources[0].header

    @property
    def series_name(self) -> str:
        """Short name of the source series: "S4", "S4 acquisition 2"."""
        number = self.study.get("SeriesNumber")
        name = f"S{number}" if number not in (None, "") else "S?"
        return f"{name} {self.context.part_label}".strip()


def open_setting(
    headers: Sequence[Dataset],
    options: ResultOptions,
    context: ResultContext,
    model: ModelCard | None,
    answer: str,
    flag: str = "",
) -> Setting:
    """The setting of one part. Raises ValueError when headers and frames do not go together, or there are none."""
    frames = context.frames or (None,) * len(headers)
    if len(frames) != len(headers) or not headers:
        raise ValueError(f"{len(headers)} headers and {len(frames)} frames")
    sources = tuple(Source(h, frame) for h, frame in zip(headers, frames, strict=True))
    names = [f"{s.sop_instance_uid} {s.frame or 0}" for s in sources]
    study = sources[0].header
    key = uids.fingerprint(
        (
            *names,
            f"study {study.get('StudyInstanceUID', '')}",
            f"series {study.get('SeriesInstanceUID', '')}",
            f"model {model.weights_sha256 if model else ''}",
            f"generation {context.generation}",
            f"part {context.part_index}",
            f"version {context.software_version}",
            f"options {_content_options(options)}",
        )
    )
    return Setting(sources, options, context, model, answer, flag, key)


def _content_options(options: ResultOptions) -> str:
    """The options that change what an object says; switching another kind on or off leaves the names as they are."""
    return f"{options.capture} {options.key_slices} {options.whole_stack} {options.sr_class} {options.language}"


def series_uid(setting: Setting, kind: str) -> str:
    """Series Instance UID of one kind of object."""
    return uids.derive("series", kind, setting.key)


def instance_uid(setting: Setting, kind: str, index: int) -> str:
    """SOP Instance UID of the index-th object of a kind."""
    return uids.derive("instance", kind, str(index), setting.key)


def envelope(setting: Setting, kind: str, sop_class_uid: str, modality: str, index: int = 0) -> Dataset:
    """A dataset with all that is not particular to its kind; the kind's module adds the rest."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = CHARACTER_SET
    _copy_study(dataset, setting.study)
    _write_series(dataset, setting, kind, modality)
    _write_equipment(dataset, setting)
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = instance_uid(setting, kind, index)
    dataset.InstanceNumber = index + 1
    dataset.InstanceCreatorUID = uids.IMPLEMENTATION_CLASS_UID
    dataset.ContentDate = dataset.InstanceCreationDate = date_of(setting)
    dataset.ContentTime = dataset.InstanceCreationTime = time_of(setting)
    if setting.study.get("TimezoneOffsetFromUTC"):
        dataset.TimezoneOffsetFromUTC = setting.study.TimezoneOffsetFromUTC
    return dataset


def made_at(setting: Setting) -> datetime:
    """Closing time of the job on the clock that the study's dates are told by.

    Timezone Offset From UTC (0008,0201) speaks for every date in an object, those copied from the source included. It
    is therefore the source's or absent, and without one the time stands in the zone it was handed in.
    """
    offset = str(setting.study.get("TimezoneOffsetFromUTC") or "")
    moment = setting.context.made_at
    return moment.astimezone(datetime.strptime(offset, "%z").tzinfo) if offset else moment


def date_of(setting: Setting) -> str:
    """Closing date of the job as DA."""
    return made_at(setting).strftime("%Y%m%d")


def time_of(setting: Setting) -> str:
    """Closing time of the job as TM."""
    return made_at(setting).strftime("%H%M%S")


def _copy_study(dataset: Dataset, study: Dataset) -> None:
    for keyword in study_keywords():
        if keyword in study:
            dataset.add(study[keyword])


def _write_series(dataset: Dataset, setting: Setting, kind: str, modality: str) -> None:
    dataset.Modality = modality
    dataset.SeriesInstanceUID = series_uid(setting, kind)
    number = int(setting.study.get("SeriesNumber") or 0) % 1000 or 999
    dataset.SeriesNumber = SERIES_NUMBERS[kind] + number + 1000 * (setting.context.part_index % 10)
    dataset.SeriesDescription = f"{setting.answer} {setting.series_name} {setting.flag}"[:64].rstrip()
    dataset.SeriesDate, dataset.SeriesTime = date_of(setting), time_of(setting)
    if modality not in ("SR", "KO", "DOC"):
        _write_body_part(dataset, setting.study)


def _write_body_part(dataset: Dataset, study: Dataset) -> None:
    """Body part and, unless it is one of those that have no side, Laterality (2C): empty when the source tells none."""
    dataset.BodyPartExamined = study.get("BodyPartExamined") or "ABDOMEN"
    if dataset.BodyPartExamined not in _WITHOUT_SIDE:
        dataset.Laterality = study.get("Laterality") or ""


_WITHOUT_SIDE = frozenset(
    """
    ABDOMEN ABDOMENPELVIS AORTA BLADDER BRAIN CERVIX CHEST CHESTABDOMEN CHESTABDPELVIS COCCYX COLON CSPINE
    DUODENUM ESOPHAGUS GALLBLADDER HEAD HEART ILEUM ILIUM JAW JEJUNUM LARYNX LIVER LSPINE LSSPINE MAXILLA
    MEDIASTINUM NECK NOSE PANCREAS PELVIS PENIS PHARYNX PROSTATE RECTUM SKULL SPINE SPLEEN SSPINE STERNUM STOMACH
    THYMUS THYROID TLSPINE TONGUE TRACHEA TSPINE URETHRA UTERUS VAGINA WHOLEBODY
    """.split()  # noqa: SIM905
)
"""Body parts (PS3.16 Annex L) that are one: Laterality must be absent, PS3.3 C.7.3.1."""


def _write_equipment(dataset: Dataset, setting: Setting) -> None:
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MANUFACTURER
    dataset.SoftwareVersions = setting.context.software_version
    if setting.context.device_serial:
        dataset.DeviceSerialNumber = setting.context.device_serial
    if setting.context.institution:
        dataset.InstitutionName = setting.context.institution
    dataset.ContributingEquipmentSequence = [*_scanner(setting), _algorithm(setting)]


def _scanner(setting: Setting) -> list[Dataset]:
    manufacturer = setting.study.get("Manufacturer")
    if not manufacturer:
        return []
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(codes.ACQUISITION_EQUIPMENT)]
    for keyword in ("Manufacturer", "ManufacturerModelName", "InstitutionName", "StationName", "DeviceSerialNumber"):
        if setting.study.get(keyword):
            item.add(setting.study[keyword])
    return [item]


def _algorithm(setting: Setting) -> Dataset:
    """One item an algorithm, IHE AIR 6.5.3.1: Manufacturer, Model Name, Software Versions, Device UID."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(codes.PROCESSING_EQUIPMENT)]
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = algorithm_name(setting)
    item.SoftwareVersions = algorithm_version(setting)
    if setting.context.device_serial:
        item.DeviceSerialNumber = setting.context.device_serial
    item.DeviceUID = device_uid(setting)
    item.ContributionDateTime = setting.context.made_at.strftime("%Y%m%d%H%M%S%z")
    item.ContributionDescription = "Contrast phase of CT by artificial intelligence; not for diagnostic use"
    return item


def algorithm_name(setting: Setting) -> str:
    """Name of the model, the same in Contributing Equipment, TID 1004 and TID 4019."""
    return setting.model.name if setting.model else MANUFACTURER


def algorithm_version(setting: Setting) -> str:
    """Version of the model; of the node where no model spoke."""
    return setting.model.version if setting.model else setting.context.software_version


def device_uid(setting: Setting) -> str:
    """UID of the device that speaks: one for each set of weights."""
    return uids.device(setting.model.weights_sha256 if setting.model else f"node {setting.context.software_version}")


def code_item(concept: codes.Concept, language: str = "en") -> Dataset:
    """An item of a code sequence, PS3.3 section 8.8."""
    item = Dataset()
    item.CodeValue = concept.value
    item.CodingSchemeDesignator = concept.scheme
    item.CodeMeaning = concept.said(language)
    return item


def scheme_items(designators: Sequence[str]) -> list[Dataset]:
    """Items of the Coding Scheme Identification Sequence for those schemes that need one, PS3.3 section C.12.1.1."""
    items = []
    for scheme in (codes.SCHEMES[name] for name in designators if name in codes.SCHEMES):
        item = Dataset()
        item.CodingSchemeDesignator = scheme.designator
        item.CodingSchemeName = scheme.name
        item.CodingSchemeResponsibleOrganization = scheme.organisation
        items.append(item)
    return items


def reference(sop_class_uid: str, sop_instance_uid: str, frame: int | None = None) -> Dataset:
    """An item of a Referenced SOP Sequence; with the frame for a multi-frame instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    if frame is not None:
        item.ReferencedFrameNumber = frame
    return item


def encode(dataset: Dataset, kind: str) -> ResultObject:
    """The dataset as a Part 10 file; the same dataset makes the same bytes."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(str(dataset.SOPClassUID))
    meta.MediaStorageSOPInstanceUID = UID(str(dataset.SOPInstanceUID))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(uids.IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = "DICOMNODE"
    dataset.file_meta = meta
    dataset.preamble = b"\0" * 128
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return ResultObject(
        str(dataset.SOPClassUID),
        str(dataset.SOPInstanceUID),
        str(dataset.SeriesInstanceUID),
        kind,
        buffer.getvalue(),
    )
