"""What a series' header says of contrast: a second opinion that is independent of the picture.

Strongest first: the standard's own attribute (Contrast/Bolus Agent Phase), the series description, the protocol
name, the time between injection and acquisition, the agent; last, and only when nothing else speaks, the study's
description. Two that contradict each other name no phase. Headers lie: agents are copied to every series of a
study, protocols are named for what they could do. So this opinion is shown beside the picture's and never
replaces it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from pydicom.dataset import Dataset

from dicomnode.series import attributes
from dicomnode.series.vocabulary import Reading, phase_at, understand
from inference.findings import HeaderOpinion
from inference.phases import Phase

AGENT_PHASES: dict[str, tuple[bool, Phase | None]] = {
    "PRE_CONTRAST": (False, Phase.UNENHANCED),
    "ARTERIAL": (True, Phase.ARTERIAL),
    "PORTAL_VENOUS": (True, Phase.PORTAL_VENOUS),
    "VENOUS": (True, Phase.PORTAL_VENOUS),
    "DELAYED": (True, Phase.DELAYED),
    "STEADY_STATE": (True, Phase.DELAYED),
    "CAPILLARY": (True, None),
    "IMMEDIATE": (True, None),
    "DYNAMIC": (True, None),
    "POST_CONTRAST": (True, None),
}
"""Contrast/Bolus Agent Phase (0018,9344), PS3.3 section C.7.6.16.2.12, Contrast/Bolus Usage -> (contrast, phase)."""

NO_AGENT = frozenset({"", "NO", "NONE", "N", "0", "N/A", "NA", "NULL", "NO ENTRY", "NON", "UNKNOWN", "OFF"})
BODY_PARTS = (
    "HEADNECK", "HEAD", "BRAIN", "SKULL", "NECK", "SPINE", "CHEST", "THORAX", "LUNG", "HEART", "BREAST", "ABDOMEN",
    "LIVER", "KIDNEY", "PANCREAS", "COLON", "PELVIS", "HIP", "LEG", "KNEE", "FOOT", "ARM", "SHOULDER", "WHOLEBODY",
)  # fmt: skip
"""The words of Body Part Examined (PS3.16 Annex L) that are passed on; it may hold any text, names included."""
LONGEST_SECONDS = 3600.0
"""A contrast start further away than this belongs to another day or another clock."""


@dataclass(frozen=True)
class _Clue:
    """What one attribute says."""

    source: str
    contrast: bool | None
    phase: Phase | None
    words: str
    """For the evidence: words of the vocabulary or of the standard, never free text."""


def read(headers: Sequence[Dataset]) -> HeaderOpinion:
    """The opinion of one acquisition's headers (one a slice, in any order)."""
    if not headers:
        return HeaderOpinion(None, None, ())
    first = headers[0]
    clues = [*_standard(first), *_described(first)]
    clues += [clue for clue in _timed(headers) if not _contradicts(clue, clues)]
    clues += _agent(first)
    if not any(clue.contrast is not None for clue in clues):
        clues += _study(first)
    phases = {clue.phase for clue in clues if clue.phase is not None}
    phase = _strongest(clues).phase if len(phases) == 1 or _decided(clues) else None
    return HeaderOpinion(
        contrast=_contrast(clues, phase),
        phase=phase,
        evidence=tuple(f"{clue.source}: {clue.words}" for clue in clues if clue.words),
        body_part=_body_part(first),
    )


def weak_label(texts: Iterable[str]) -> Phase | None:
    """The phase that descriptions of one series agree on, for training; None when they name none or several."""
    phases = {phase for text in texts if (phase := understand(text).phase) is not None}
    return phases.pop() if len(phases) == 1 else None


def _decided(clues: Sequence[_Clue]) -> bool:
    """Whether the standard's own attribute names the phase: then the others' contradiction does not matter."""
    return bool(clues) and clues[0].source == "Contrast/Bolus Agent Phase" and clues[0].phase is not None


def _contradicts(late: _Clue, clues: Sequence[_Clue]) -> bool:
    """A time before the injection beside a description that says contrast: one of two clocks is wrong."""
    return late.contrast is False and any(clue.contrast for clue in clues)


def _strongest(clues: Sequence[_Clue]) -> _Clue:
    return next(clue for clue in clues if clue.phase is not None)


def _contrast(clues: Sequence[_Clue], phase: Phase | None) -> bool | None:
    if phase is not None:
        return phase is not Phase.UNENHANCED
    return next((clue.contrast for clue in clues if clue.contrast is not None), None)


def _standard(header: Dataset) -> list[_Clue]:
    """The functional group Contrast/Bolus Usage of Enhanced CT, PS3.3 section C.7.6.16.2.12."""
    usage = attributes.items(header, "ContrastBolusUsageSequence") or [header]
    clues = []
    for item in usage:
        word = attributes.text(item, "ContrastBolusAgentPhase").upper()
        if word in AGENT_PHASES:
            clues.append(_Clue("Contrast/Bolus Agent Phase", *AGENT_PHASES[word], word))
        given = attributes.text(item, "ContrastBolusAgentAdministered").upper()
        if not clues and given in ("YES", "NO"):
            clues.append(_Clue("Contrast/Bolus Agent Administered", given == "YES", None, given))
    return clues


def _described(header: Dataset) -> list[_Clue]:
    """The series description; the protocol's name only where that names no phase and does not contradict it."""
    series = understand(attributes.text(header, "SeriesDescription"))
    clues = [_from_reading("Series Description", series)]
    if series.phase is None and not series.words:
        clues.append(_from_reading("Protocol Name", understand(attributes.text(header, "ProtocolName"))))
    return clues


def _from_reading(source: str, reading: Reading) -> _Clue:
    return _Clue(source, reading.contrast, reading.phase, ", ".join(reading.words))


def _timed(headers: Sequence[Dataset]) -> list[_Clue]:
    """Acquisition time after the start of the injection. Both are by the scanner's clock, where they are given."""
    start = attributes.seconds(headers[0], "ContrastBolusStartTime")
    keywords = ("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime")
    times = [time for header in headers if (time := attributes.seconds(header, *keywords)) is not None]
    if start is None or not times:
        return []
    elapsed = median(times) - start
    if elapsed == 0 or abs(elapsed) > LONGEST_SECONDS:
        return []
    if elapsed < 0:
        return [_Clue("Acquisition Time", False, Phase.UNENHANCED, f"{-elapsed:.0f} s before the injection")]
    return [_Clue("Acquisition Time", True, phase_at(elapsed), f"{elapsed:.0f} s after the start of the injection")]


def _agent(header: Dataset) -> list[_Clue]:
    """An agent that was not only drunk. It is copied to every series of a study: it says contrast, no phase."""
    agent = attributes.text(header, "ContrastBolusAgent")
    route = attributes.text(header, "ContrastBolusRoute").upper()
    reading = understand(agent)
    if agent.upper() in NO_AGENT or (reading.contrast is False):
        return []
    by_vein = any(word in route for word in ("IV", "INTRAVEN", "VENOUS", "INTRA-ARTERIAL"))
    if not by_vein and (any(word in route for word in ("ORAL", "PO", "RECTAL")) or not _injectable(agent, reading)):
        return [_Clue("Contrast/Bolus Agent", None, None, "oral")]
    return [_Clue("Contrast/Bolus Agent", True, None, "given")]


def _injectable(agent: str, reading: Reading) -> bool:
    """Unknown names are taken for an injected agent; those for drinking are known."""
    return reading.contrast is True or not reading.words


def _study(header: Dataset) -> list[_Clue]:
    """Weakly: a study with contrast may hold a series without it."""
    clues = []
    for source, keyword in (("Body Part Examined", "BodyPartExamined"), ("Study Description", "StudyDescription")):
        reading = understand(attributes.text(header, keyword))
        if reading.contrast is not None:
            clues.append(_Clue(source, reading.contrast, None, ", ".join(reading.words)))
    return clues[:1]


def _body_part(header: Dataset) -> str:
    found = attributes.text(header, "BodyPartExamined").upper().replace(" ", "")
    return next((part for part in BODY_PARTS if part in found), "")
