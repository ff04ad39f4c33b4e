"""Evidence: what a document refers to, listed once each under study and series (PS3.3 C.17.2.3).

highdicom compares every instance of the evidence with every reference in the content; a series of 2,000 slices makes
that slow. Here only what is referred to is listed, by one pass.
"""

from collections.abc import Iterable, Iterator

from pydicom.dataset import Dataset

from dicomnode.results.envelope import reference
from dicomnode.results.options import InstanceReference, ResultObject
from dicomnode.results.setting import Setting, Source


def evidence(instances: Iterable[InstanceReference]) -> list[Dataset]:
    """Current Requested Procedure Evidence over instances of one study; empty where there are none."""
    by_series: dict[str, dict[str, InstanceReference]] = {}
    study_uid = ""
    for one in instances:
        study_uid = one.study_uid
        by_series.setdefault(one.series_uid, {})[one.sop_instance_uid] = one
    if not by_series:
        return []
    item = Dataset()
    item.StudyInstanceUID = study_uid
    item.ReferencedSeriesSequence = [_series(uid, listed.values()) for uid, listed in by_series.items()]
    return [item]


def evidence_in(content: Dataset, setting: Setting, *made: ResultObject | None) -> list[Dataset]:
    """Evidence for all source slices that a content tree refers to, and for those of `made` to which it does."""
    slices = {source.sop_instance_uid: source for source in setting.sources}
    objects = {one.sop_instance_uid: one for one in made if one is not None}
    uids = dict.fromkeys(_referenced(content))
    return evidence(
        of_object(objects[uid], setting) if uid in objects else of_slice(slices[uid], setting) for uid in uids
    )


def of_slice(source: Source, setting: Setting) -> InstanceReference:
    """The instance that holds a source slice."""
    series_uid = str(source.header.SeriesInstanceUID)
    return InstanceReference(_study(setting), series_uid, source.sop_class_uid, source.sop_instance_uid)


def of_object(made: ResultObject, setting: Setting) -> InstanceReference:
    """An object of this result."""
    return InstanceReference(_study(setting), made.series_uid, made.sop_class_uid, made.sop_instance_uid)


def predecessor(earlier: InstanceReference) -> Dataset:
    """An item of Predecessor Documents: the report whose findings this one says anew (PS3.3 C.17.2)."""
    return evidence([earlier])[0]


def _study(setting: Setting) -> str:
    return str(setting.study.StudyInstanceUID)


def _series(uid: str, instances: Iterable[InstanceReference]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ReferencedSOPSequence = [reference(one.sop_class_uid, one.sop_instance_uid) for one in instances]
    return item


def _referenced(item: Dataset) -> Iterator[str]:
    if "ReferencedSOPInstanceUID" in item:
        yield str(item.ReferencedSOPInstanceUID)
    for element in item:
        if element.VR == "SQ":
            for child in element.value:
                yield from _referenced(child)
