"""The sentences of this package in German."""

import re
from collections.abc import Mapping

from inference.phases import Phase
from inference.sentences import Kind, Phrasebook, verbatim

PHASES: Mapping[Phase, str] = {
    Phase.UNENHANCED: "nativ",
    Phase.ARTERIAL: "arteriell",
    Phase.PORTAL_VENOUS: "portalvenös",
    Phase.DELAYED: "Spätphase",
}


def number(text: str) -> str:
    """A number with a decimal comma."""
    return text.replace(".", ",")


def phase(text: str) -> str:
    """A phase by its English name."""
    return PHASES[Phase(text)]


def _shares(text: str) -> str:
    """Shares of the slices: "60 % for arterial and 40 % for delayed"."""
    return re.sub(_SHARE, lambda share: f"{share[1]} % für {phase(share[2])}", text).replace(" and ", " und ")


_NAMES = "|".join(PHASES)
_SHARE = rf"(\d+) % for ({_NAMES})"
_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"

KINDS = {
    "number": Kind(_NUMBER, number),
    "phase": Kind(_NAMES, phase),
    "shares": Kind(rf"\d+ % for (?:{_NAMES}) and \d+ % for (?:{_NAMES})", _shares),
    "name": Kind(r"\w+", verbatim),
}

SENTENCES = {
    "The images show neither an abdomen nor a thorax (for example a head, a limb or a test object).": (
        "Die Bilder zeigen weder Bauch noch Brustkorb, sondern etwa einen Kopf, eine Extremität oder ein Testobjekt."
    ),
    "The images hold no tissue that can be judged: they are empty or without any contrast between tissues.": (
        "Die Bilder enthalten kein beurteilbares Gewebe: Sie sind leer oder ohne Unterschiede zwischen Geweben."
    ),
    "Too little anatomy that tells the phase: hardly any heart, large vessels, liver, spleen or kidneys.": (
        "Zu wenig Anatomie, an der die Phase zu erkennen ist: kaum Herz, große Gefäße, Leber, Milz oder Nieren."
    ),
    "The slices disagree: {said:shares}. This may be two acquisitions in one series, or a time between two phases.": (
        "Die Schichten widersprechen sich: {said}. Das können zwei Aufnahmen in einer Serie sein oder ein Zeitpunkt "
        "zwischen zwei Phasen."
    ),
    "The images are too noisy for a safe answer (about {noise:number} HU after smoothing).": (
        "Die Bilder sind für eine sichere Antwort zu verrauscht (etwa {noise} HU nach Glättung)."
    ),
    "The enhancement lies between {one:phase} and {other:phase}.": (
        "Die Kontrastierung liegt zwischen {one} und {other}."
    ),
    (
        "The images as a whole look {one:phase}, but the measured attenuation of the organs is that of the "
        "{other:phase} phase."
    ): "Das ganze Bild spricht für: {one}; die gemessene Dichte der Organe spricht für: {other}.",
    "Too few slices: {there:number}, and at least {needed:number} are needed.": (
        "Zu wenige Schichten: {there}; nötig sind mindestens {needed}."
    ),
}
"""English template -> German."""

BOOK = Phrasebook(SENTENCES, KINDS)
