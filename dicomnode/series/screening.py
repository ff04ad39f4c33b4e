"""What is done with an instance that arrives: judged, kept but not judged, or refused; and why, in plain words.

What the node itself made must never be judged: an archive that sends everything to every node would otherwise start
a loop. It is recognised by its Manufacturer, by the node's name in its Contributing Equipment, and by a look-up
of what was sent, so that no single one has to survive the archive.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dicomnode.errors import Refuse
from dicomnode.series.header import DOES_NOT_MATCH, Header

CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT Image",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT Image",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT Image",
}
"""PS3.4 Table B.5-1: what is judged."""
LOCALIZER_WORDS = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM"})
"""Values of Image Type (PS3.3 section C.8.2.1.1.1) and what vendors write instead of LOCALIZER."""
CLASS_NOT_SUPPORTED = 0x0122
"""PS3.7 section C.5.6: Refused: SOP Class not supported."""
CANNOT_UNDERSTAND = 0xC000
OWN_MANUFACTURER = "dicomnode"


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
    own_manufacturer: str = OWN_MANUFACTURER
    """Manufacturer (0008,0070) of what this node makes."""


@dataclass(frozen=True)
class Screening:
    """The answer for one instance."""

    disposition: Disposition
    reason: str = ""
    """Why it is not judged, as a sentence; "" when it is."""
    refusal: Refuse | None = None
    """The error to raise when it is refused."""


IsOwn = Callable[[str], bool]
"""is_own(sop_instance_uid): whether this node has sent such an object."""


def screen(header: Header, policy: Policy, is_own: IsOwn | None = None) -> Screening:
    """What is done with the instance of this header. What the node made is never refused: the archive means well."""
    if _own(header, policy, is_own):
        return Screening(Disposition.OWN, "This object was made by this node.")
    for reason, status in _objections(header):
        if policy.refuse_others:
            return Screening(Disposition.REFUSE, reason, Refuse(reason, status))
        return Screening(Disposition.SET_ASIDE, reason)
    return Screening(Disposition.JUDGE)


def _own(header: Header, policy: Policy, is_own: IsOwn | None) -> bool:
    name = policy.own_manufacturer.casefold()
    named = header.manufacturer.casefold() == name or header.model_name.casefold() == name
    contributed = name.encode() in header.equipment.lower()
    return named or contributed or (is_own is not None and is_own(header.sop_instance_uid))


def _objections(header: Header) -> list[tuple[str, int]]:
    """(why it is not judged, DIMSE status if it is refused), the most telling first."""
    found = []
    if header.sop_class_uid not in CT_CLASSES:
        found.append((f"This object is not a CT image ({_kind(header)}).", CLASS_NOT_SUPPORTED))
    elif header.modality not in ("", "CT"):
        found.append((f"The modality is {_kind(header)}, not CT.", DOES_NOT_MATCH))
    if LOCALIZER_WORDS & {word.upper() for word in header.image_type}:
        found.append(("This is a localizer (scout) image.", CANNOT_UNDERSTAND))
    if header.has_pixel_data is False:
        found.append(("This object has no pixel data.", CANNOT_UNDERSTAND))
    return found


def _kind(header: Header) -> str:
    """The modality, if it is one: other text in that place is not repeated."""
    modality = header.modality
    return modality if 2 <= len(modality) <= 16 and modality.isalnum() else "of unknown modality"
