"""Values -> the words and numbers that a person reads on a page."""

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from http import HTTPStatus
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from dicomnode.web.node import Node
from storage.outbox import OutboxItem

STATES = {
    "QUEUED": ("wait", "waits to be judged"),
    "RUNNING": ("work", "is being judged"),
    "BUILT": ("good", "results were made"),
    "DECLINED": ("note", "cannot be judged, and why is told"),
    "FAILED": ("bad", "something went wrong: an administrator must look"),
    "PENDING": ("wait", "waits to be sent"),
    "SENT": ("work", "the destination answered success or a warning"),
    "COMMITTED": ("good", "the archive took responsibility (storage commitment)"),
    "VERIFIED": ("good", "the destination lists it when asked"),
    "REJECTED": ("bad", "the destination refused it for good"),
    "judged": ("good", "judged"),
    "declined": ("note", "cannot be judged, and why is told"),
}
"""State -> the kind of its badge, and what it means. Colour never is the only sign: the word stands in the badge."""

KINDS = {
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture",
    "1.2.840.10008.5.1.4.1.1.7.4": "Secondary Capture, multi-frame",
    "1.2.840.10008.5.1.4.1.1.11.1": "Presentation State",
    "1.2.840.10008.5.1.4.1.1.30": "Parametric Map",
    "1.2.840.10008.5.1.4.1.1.66.4": "Segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation",
    "1.2.840.10008.5.1.4.1.1.88.33": "Structured Report",
    "1.2.840.10008.5.1.4.1.1.88.34": "Structured Report (3D)",
    "1.2.840.10008.5.1.4.1.1.104.1": "PDF",
}
"""SOP Class UID (PS3.4 B.5) -> what a person calls it."""

HTTP = frozenset(status.value for status in HTTPStatus)

PICTURES = frozenset({"1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.4"})


def environment(node: Node) -> Environment:
    """The templates, with the filters that they use."""
    made = Environment(
        loader=PackageLoader("dicomnode.web"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "when": _when(node.zone),
        "clock": _clock(node.zone),
        "size": size,
        "percent": percent,
        "status": status,
        "kind": lambda uid: KINDS.get(uid, uid),
        "badge": lambda state: STATES[str(state)][0],
        "meaning": lambda state: STATES[str(state)][1],
        "counted": lambda number: f"{number:,}".replace(",", " "),
    }
    zone = node.now().astimezone(node.zone).tzname()
    made.globals |= {"node": node, "zone": zone}
    return made


def size(count: int) -> str:
    """Bytes as a person reads them, in powers of 1000."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def percent(share: float | None) -> str:
    """0..1 -> "93 %"; 99 at most, as on the pictures."""
    if share is None:
        return "–"
    return f"{min(99, round(100 * share))} %"


def status(code: int | None) -> str:
    """A DIMSE status as the standard writes it (PS3.7 Annex C), or an HTTP status; no number is both."""
    if code is None:
        return "no answer"
    return f"HTTP {code}" if code in HTTP else f"0x{code:04X}"


def pictures(items: Sequence[OutboxItem]) -> list[OutboxItem]:
    """One item for each picture among the results, in the order they were made; the summary page is the first."""
    found: dict[str, OutboxItem] = {}
    for item in sorted(items, key=lambda item: item.id):
        if item.sop_class_uid in PICTURES:
            found.setdefault(item.sop_uid, item)
    return list(found.values())


def _when(zone: tzinfo | None) -> Callable[[datetime | None], str]:
    def when(moment: datetime | None) -> str:
        return "–" if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")

    return when


def _clock(zone: tzinfo | None) -> Callable[[datetime], str]:
    def clock(moment: datetime) -> str:
        return moment.astimezone(zone).strftime("%H:%M:%S")

    return clock


def bars(probabilities: Any, phases: Sequence[str]) -> list[tuple[str, float]]:
    """Phase and probability, in the order of time; phases that the model does not know are left out."""
    named = [(phase, float(probabilities[phase])) for phase in phases if phase in probabilities]
    return named + [(phase, float(share)) for phase, share in probabilities.items() if phase not in phases]
