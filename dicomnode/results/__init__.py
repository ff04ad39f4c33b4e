"""DICOM out: findings become objects that archives keep and viewers show.

options        what is asked of a result, and what comes out
objects        findings -> all objects of one part, checked by the gate
capture        pictures -> Secondary Capture
report         findings -> Structured Report; reading turns it back, with pydicom alone
conformance    the gate: no object leaves that it refuses
normalise      the clean copy of a source header that results inherit from
envelope       what every object shares; how the node knows its own
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
