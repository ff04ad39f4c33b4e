"""Key Object Selection: a list that points at the key slices of the source (PS3.3 A.35.4, TID 2010)."""

from pydicom.dataset import Dataset

from dicomnode.results import codes
from dicomnode.results.envelope import code_item, encode, envelope, reference
from dicomnode.results.evidence import evidence, of_slice
from dicomnode.results.options import ResultObject
from dicomnode.results.setting import Setting, Source
from dicomnode.results.wording import Words
from inference.findings import Findings

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"


def compose(findings: Findings, setting: Setting) -> list[ResultObject]:
    """One document over the key slices; none where there are none."""
    sources = [setting.sources[index] for index in findings.key_slices]
    return [encode(_selection(sources, setting), "key objects")] if sources else []


def _selection(sources: list[Source], setting: Setting) -> Dataset:
    dataset = envelope(setting, "key objects", KEY_OBJECT_SELECTION, "KO")
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.CurrentRequestedProcedureEvidenceSequence = evidence(of_slice(source, setting) for source in sources)
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = [code_item(codes.OF_INTEREST)]
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    dataset.ContentTemplateSequence = [template]
    words = Words(setting.options.language)
    text = f"{setting.answer} {setting.series_name}. {words.intended_use}"
    dataset.ContentSequence = [_language(setting), _description(text), *map(_image, sources)]
    return dataset


def _language(setting: Setting) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "HAS CONCEPT MOD", "CODE"
    item.ConceptNameCodeSequence = [code_item(codes.LANGUAGE)]
    item.ConceptCodeSequence = [code_item(codes.LANGUAGES[setting.options.language])]
    return item


def _description(text: str) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.ConceptNameCodeSequence = [code_item(codes.KEY_OBJECT_DESCRIPTION)]
    item.TextValue = text
    return item


def _image(source: Source) -> Dataset:
    # TID 2010 row 8 forbids a purpose of reference, so the item has no concept name.
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
    item.ReferencedSOPSequence = [reference(source.sop_class_uid, source.sop_instance_uid, source.frame)]
    return item
