"""What is done with an instance that arrives: judged, kept but not judged, or refused; and why, in plain words.

What the node itself made must never be judged: an archive that sends everything to every node would otherwise start
a loop. It is recognised by its Manufacturer and by the node's name in its Contributing Equipment, so that neither has
to survive the archive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dicomnode.errors import Refuse
from dicomnode.identity import CT_CLASSES, MANUFACTURER
from dicomnode.series.header import DOES_NOT_MATCH, Header

LOCALIZER_WORDS = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM"})
"""Values of Image Type (PS3.3 section C.8.2.1.1.1) and what vendors write instead of LOCALIZER."""
ANSWERED_CLASSES: Mapping[str, str] = {
    **CT_CLASSES,
    "1.2.840.10008.5.1.4.1.1.4": "MR Image Storage",
    "1.2.840.10008.5.1.4.1.1.4.1": "Enhanced MR Image Storage",
    "1.2.840.10008.5.1.4.1.1.4.3": "Enhanced MR Color Image Storage",
    "1.2.840.10008.5.1.4.1.1.4.4": "Legacy Converted Enhanced MR Image Storage",
    "1.2.840.10008.5.1.4.1.1.128": "Positron Emission Tomography Image Storage",
    "1.2.840.10008.5.1.4.1.1.128.1": "Legacy Converted Enhanced PET Image Storage",
    "1.2.840.10008.5.1.4.1.1.130": "Enhanced PET Image Storage",
}
"""SOP Class UID -> name: what may be answered by a report that it was not judged, where such reports are on.

Cross-sections as a scanner makes them, for there a reader may wait for a phase. Never what is made of images (reports,
captures, segmentations, maps, presentation states, documents): another node's results would be answered by ours, ours
by its, without end; and what this node made would be answered itself, should an archive have taken its marks away.
Projections and ultrasound have no phase that anybody could miss.
"""
CLASS_NOT_SUPPORTED = 0x0122
"""PS3.7 section C.5.6: Refused: SOP Class not supported."""
CANNOT_UNDERSTAND = 0xC000


class Disposition(StrEnum):
    """What is done with an instance."""

    JUDGE = "judge"
    SET_ASIDE = "set aside"
    OWN = "own"
    """Made by this node: kept, never judged, and never a reason to say anything."""
    REFUSE = "refuse"


@dataclass(frozen=True)
class Policy:
    """What is done with objects that are never judged."""

    refuse_others: bool = False
    """True: objects that are not CT, localizers, and CT without pixel data are refused; False: kept and set aside."""


@dataclass(frozen=True)
class Screening:
    """The answer for one instance."""

    disposition: Disposition
    reason: str = ""
    """Why it is not judged, as a sentence; "" when it is."""
    refusal: Refuse | None = None
    """The error to raise when it is refused."""


def screen(header: Header, policy: Policy) -> Screening:
    """What is done with the instance of this header. What the node made is never refused: the archive means well."""
    if _own(header):
        return Screening(Disposition.OWN, "This object was made by this node.")
    for reason, status in _objections(header):
        if policy.refuse_others:
            return Screening(Disposition.REFUSE, reason, Refuse(reason, status))
        return Screening(Disposition.SET_ASIDE, reason)
    return Screening(Disposition.JUDGE)


def _own(header: Header) -> bool:
    named = MANUFACTURER in (header.manufacturer.casefold(), header.model_name.casefold())
    return named or MANUFACTURER.encode() in header.equipment.lower()


def _objections(header: Header) -> list[tuple[str, int]]:
    """(why it is not judged, DIMSE status if it is refused), the most telling first."""
    found = []
    modality = _modality(header)
    if header.sop_class_uid not in CT_CLASSES:
        found.append((f"This object is not a CT image ({modality or 'unknown modality'}).", CLASS_NOT_SUPPORTED))
    elif header.modality not in ("", "CT"):
        reason = f"The modality is {modality}, not CT." if modality else "The modality is not CT."
        found.append((reason, DOES_NOT_MATCH))
    if LOCALIZER_WORDS & {word.upper() for word in header.image_type}:
        found.append(("This is a localizer (scout) image.", CANNOT_UNDERSTAND))
    if header.has_pixel_data is False:
        found.append(("This object has no pixel data.", CANNOT_UNDERSTAND))
    return found


def _modality(header: Header) -> str:
    """The modality, if it is one: other text in that place is not repeated, and comes out empty."""
    modality = header.modality
    return modality if 2 <= len(modality) <= 16 and modality.isalnum() else ""
