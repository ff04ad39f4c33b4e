"""Encapsulated PDF of the summary page, for archives that show documents better than pictures (PS3.3 A.45.1)."""

from io import BytesIO

from pydicom.dataset import Dataset

from dicomnode.identity import MANUFACTURER
from dicomnode.results.capture import Picture
from dicomnode.results.envelope import encode, envelope, reference
from dicomnode.results.options import ResultObject
from dicomnode.results.setting import Setting, made_at

ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_DOTS_PER_INCH = 120


def compose(page: Picture, setting: Setting) -> ResultObject:
    """The page rgb[row, column, 3] as a document."""
    dataset = envelope(setting, "pdf", ENCAPSULATED_PDF, "DOC")
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation = "YES"
    dataset.AcquisitionDateTime = ""
    dataset.ConceptNameCodeSequence = []
    dataset.DocumentTitle = f"{setting.answer} {setting.series_name}"
    dataset.SourceInstanceSequence = [_source(setting)]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document = _document(page, setting)
    dataset.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    dataset.EncapsulatedDocumentLength = len(document)
    return encode(dataset, "pdf")


def _source(setting: Setting) -> Dataset:
    source = setting.sources[0]
    return reference(source.sop_class_uid, source.sop_instance_uid)


def _document(page: Picture, setting: Setting) -> bytes:
    from PIL import Image

    moment = made_at(setting).timetuple()
    buffer = BytesIO()
    # Without the two dates Pillow writes those of its own clock, and the bytes are never the same.
    Image.fromarray(page).save(
        buffer,
        "PDF",
        resolution=_DOTS_PER_INCH,
        title=setting.answer,
        producer=MANUFACTURER,
        creationDate=moment,
        modDate=moment,
    )
    return buffer.getvalue()
