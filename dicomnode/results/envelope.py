"""What every object shares: patient, study, series, equipment and SOP common, in one place for all kinds.

The node's own objects are recognised by three attributes that survive transport: Manufacturer (0008,0070) is
"dicomnode", Instance Creator UID (0008,0014) is `IMPLEMENTATION_CLASS_UID`, and Contributing Equipment holds an
item with purpose Processing Equipment (109102, DCM). The first is what a receiver checks, for it is in every IOD; the
file's Implementation Class UID (0002,0012) is ours as well, until an archive writes its own there.
"""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicomnode.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, MANUFACTURER
from dicomnode.results import codes
from dicomnode.results.normalise import CHARACTER_SET, study_keywords
from dicomnode.results.options import ResultObject
from dicomnode.results.setting import (
    Setting,
    algorithm_name,
    algorithm_version,
    date_of,
    device_uid,
    instance_uid,
    series_uid,
    time_of,
)
from dicomnode.results.wording import Words

SERIES_NUMBERS = {
    "capture": 9000,
    "report": 19000,
    "parametric map": 29000,
    "segmentation": 39000,
    "key objects": 49000,
    "presentation state": 59000,
    "pdf": 69000,
    "counterfactual": 79000,
}
"""First series number of each kind; all above 9000, so that results are listed after what was acquired."""


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
    dataset.InstanceCreatorUID = IMPLEMENTATION_CLASS_UID
    dataset.ContentDate = dataset.InstanceCreationDate = date_of(setting)
    dataset.ContentTime = dataset.InstanceCreationTime = time_of(setting)
    if setting.study.get("TimezoneOffsetFromUTC"):
        dataset.TimezoneOffsetFromUTC = setting.study.TimezoneOffsetFromUTC
    return dataset


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
        _write_body_part(dataset, setting.study, sided=modality != "SEG")


def _write_body_part(dataset: Dataset, study: Dataset, sided: bool) -> None:
    """Body part and, unless it is one of those that have no side, Laterality (2C): empty when the source tells none.

    Segments name their own anatomy: a Segmentation has no Laterality.
    """
    dataset.BodyPartExamined = study.get("BodyPartExamined") or "ABDOMEN"
    if sided and dataset.BodyPartExamined not in _WITHOUT_SIDE:
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
    dataset.ContributingEquipmentSequence = [*_scanner(setting), _algorithm(setting), *_organ_algorithm(setting)]


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
    item.ContributionDescription = Words(setting.options.language).contribution
    return item


def _organ_algorithm(setting: Setting) -> list[Dataset]:
    """The item of the model that found the organs, where one did."""
    model = setting.organ_model
    return [] if model is None else [_algorithm(replace(setting, model=model))]


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
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
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
