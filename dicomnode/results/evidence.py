"""Evidence: what a document refers to, listed once each under study and series (PS3.3 C.17.2.3).

highdicom compares every instance of the evidence with every reference in the content; a series of 2,000 slices makes
that slow. Here only what is referred to is listed, by one pass.
"""

from collections.abc import Iterable, Iterator

from pydicom.dataset import Dataset

from dicomnode.results.envelope import Setting, Source, reference
from dicomnode.results.options import InstanceReference


def evidence(sources: Iterable[Source], setting: Setting) -> list[Dataset]:
    """Current Requested Procedure Evidence over source slices; empty where there are none."""
    by_series: dict[str, dict[str, Source]] = {}
    for source in sources:
        by_series.setdefault(str(source.header.SeriesInstanceUID), {})[source.sop_instance_uid] = source
    if not by_series:
        return []
    item = Dataset()
    item.StudyInstanceUID = setting.study.StudyInstanceUID
    item.ReferencedSeriesSequence = []
    for series_uid, listed in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID = series_uid
        series.ReferencedSOPSequence = [reference(s.sop_class_uid, s.sop_instance_uid) for s in listed.values()]
        item.ReferencedSeriesSequence.append(series)
    return [item]


def evidence_in(content: Dataset, setting: Setting) -> list[Dataset]:
    """Evidence for all source slices that a content tree refers to."""
    known = {source.sop_instance_uid: source for source in setting.sources}
    return evidence((known[uid] for uid in _referenced(content)), setting)


def predecessor(earlier: InstanceReference) -> Dataset:
    """An item of Predecessor Documents: the report that this one supersedes."""
    series, item = Dataset(), Dataset()
    series.SeriesInstanceUID = earlier.series_uid
    series.ReferencedSOPSequence = [reference(earlier.sop_class_uid, earlier.sop_instance_uid)]
    item.StudyInstanceUID = earlier.study_uid
    item.ReferencedSeriesSequence = [series]
    return item


def _referenced(item: Dataset) -> Iterator[str]:
    if "ReferencedSOPInstanceUID" in item:
        yield str(item.ReferencedSOPInstanceUID)
    for element in item:
        if element.VR == "SQ":
            for child in element.value:
                yield from _referenced(child)
