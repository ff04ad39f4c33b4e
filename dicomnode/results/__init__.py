"""DICOM out: findings become objects that archives keep and viewers show.

options        what is asked of a result, and what comes out
objects        findings -> all objects of one part, checked by the gate
capture        pictures -> Secondary Capture
report         findings -> Structured Report; reading turns it back, with pydicom alone
organs         measured organs in the report; segmentation makes them segments
conformance    the gate: no object leaves that breaks one of `rules`
normalise      the clean copy of a source header that results inherit from
setting        what all objects of one part have in common
envelope       what every object shares; how the node knows its own
content        content items of a report
wording        words for people, by language; german: the reasons that the code makes in English
codes, uids    every coded concept; deterministic names
"""

from typing import TYPE_CHECKING, Any

from dicomnode.results.options import InstanceReference, ResultContext, ResultObject, ResultOptions

if TYPE_CHECKING:
    from dicomnode.results.objects import compose, compose_declined

__all__ = [
    "InstanceReference",
    "ResultContext",
    "ResultObject",
    "ResultOptions",
    "compose",
    "compose_declined",
]


def __getattr__(name: str) -> Any:
    # Settings need the options alone; pydicom and numpy are loaded by who composes.
    if name in ("compose", "compose_declined"):
        from dicomnode.results import objects

        return getattr(objects, name)
    raise AttributeError(name)
