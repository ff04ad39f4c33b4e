"""Every text that a picture shows, by language."""

from collections.abc import Mapping
from dataclasses import dataclass

from inference import german
from inference.findings import Findings, MapScore
from inference.phases import Phase
from inference.sentences import Phrasebook, percent


@dataclass(frozen=True)
class Words:
    """The texts of one language; fields in braces are filled in by the renderer."""

    phases: Mapping[Phase, str]
    indeterminate: str
    title: str
    not_for_diagnosis: str
    sure: str
    most_likely: str
    seconds: str
    no_contrast: str
    disagree: str
    header_contrast: str
    header_no_contrast: str
    slice_of: str
    right: str
    """The letter at the patient's right."""
    methods: Mapping[str, str]
    """Method -> (what the colour means), one short clause."""
    passes: str
    weak: str
    unscored: str
    low: str
    high: str
    explains: str
    series: str
    model: str
    no_pictures: str
    disclaimer: str
    reasons: Phrasebook
    """What turns the English reasons of findings into this language."""


METHOD_NAMES: Mapping[str, str] = {
    "sam": "SAM",
    "grad-cam": "Grad-CAM",
    "cam": "CAM",
    "hirescam": "HiResCAM",
    "saliency": "Saliency",
    "guided-backprop": "Guided backprop",
    "guided-grad-cam": "Guided Grad-CAM",
}
"""Proper names, the same in every language."""

WORDS: Mapping[str, Words] = {
    "en": Words(
        phases={phase: phase.value for phase in Phase},
        indeterminate="indeterminate",
        title="CT contrast phase · computed by AI",
        not_for_diagnosis="Not for diagnostic use",
        sure="{percent} % sure",
        most_likely="most likely {phase}, {percent} %",
        seconds="about {estimate} s after injection ({low}–{high} s)",
        no_contrast="no contrast medium seen",
        disagree="Header and image disagree: header says {header}, image shows {image}",
        header_contrast="contrast",
        header_no_contrast="no contrast",
        right="R",
        slice_of="slice {number} of {count}",
        methods={
            "sam": "pixels that counted (reconstructed method)",
            "grad-cam": "regions that counted",
            "cam": "regions that counted",
            "hirescam": "places that counted",
            "saliency": "pixels it is sensitive to",
            "guided-backprop": "edges it is sensitive to",
            "guided-grad-cam": "edges in regions that counted",
        },
        passes="map passes its checks",
        weak="WEAK MAP: do not rely on it",
        unscored="map not checked",
        low="no evidence",
        high="strong",
        explains="What spoke for {phase}",
        series="Series {number}",
        model="Model {name} {version} · weights {digest}",
        no_pictures="no key slices",
        disclaimer="Computed from the images by software, without a physician.",
        reasons=Phrasebook({}),
    ),
    "de": Words(
        phases=german.PHASES,
        indeterminate="unbestimmt",
        title="CT-Kontrastphase · durch KI bestimmt",
        not_for_diagnosis="Nicht für die Diagnostik",
        sure="{percent} % sicher",
        most_likely="am ehesten {phase}, {percent} %",
        seconds="etwa {estimate} s nach Injektion ({low}–{high} s)",
        no_contrast="kein Kontrastmittel erkannt",
        disagree="Kopfdaten und Bild widersprechen sich: Kopfdaten {header}, Bild {image}",
        header_contrast="Kontrastmittel",
        header_no_contrast="kein Kontrastmittel",
        right="R",
        slice_of="Schicht {number} von {count}",
        methods={
            "sam": "maßgebliche Bildpunkte (rekonstruiertes Verfahren)",
            "grad-cam": "maßgebliche Regionen",
            "cam": "maßgebliche Regionen",
            "hirescam": "maßgebliche Stellen",
            "saliency": "empfindliche Bildpunkte",
            "guided-backprop": "empfindliche Kanten",
            "guided-grad-cam": "Kanten in maßgeblichen Regionen",
        },
        passes="Karte besteht ihre Prüfungen",
        weak="SCHWACHE KARTE: nicht verlässlich",
        unscored="Karte nicht geprüft",
        low="kein Hinweis",
        high="stark",
        explains="Was für {phase} sprach",
        series="Serie {number}",
        model="Modell {name} {version} · Gewichte {digest}",
        no_pictures="keine Schlüsselschichten",
        disclaimer="Von Software aus den Bildern berechnet, ohne ärztliche Prüfung.",
        reasons=german.BOOK,
    ),
}


def most_probable(findings: Findings) -> Phase:
    """The phase answered, or the likeliest of an indeterminate one."""
    return findings.phase or max(findings.probabilities, key=lambda phase: findings.probabilities[phase])


def answer(findings: Findings, words: Words) -> str:
    """The phase in capitals, or "INDETERMINATE"."""
    return (words.phases[findings.phase] if findings.phase else words.indeterminate).upper()


def certainty(findings: Findings, words: Words) -> str:
    """How sure, in words."""
    if findings.phase is not None:
        return words.sure.format(percent=percent(findings.confidence))
    phase = words.phases[most_probable(findings)]
    return words.most_likely.format(phase=phase, percent=percent(findings.confidence))


def timing(findings: Findings, words: Words) -> str:
    """Seconds after the injection, or that there was none; "" when neither is known."""
    if findings.seconds is not None:
        numbers = findings.seconds
        return words.seconds.format(estimate=round(numbers.estimate), low=round(numbers.low), high=round(numbers.high))
    return words.no_contrast if findings.phase is Phase.UNENHANCED else ""


def warnings(findings: Findings, words: Words) -> list[str]:
    """Why indeterminate, and where header and image disagree, each a sentence."""
    found = [words.reasons.say(findings.reason)] if findings.reason else []
    if findings.disagreement:
        found.append(_disagreement(findings, words))
    return found


def verdict(score: MapScore | None, words: Words) -> str:
    """What the checks of a map say of it."""
    if score is None:
        return words.unscored
    return words.weak if score.poor else words.passes


def _disagreement(findings: Findings, words: Words) -> str:
    header = findings.header
    if header is None or (header.phase is None and header.contrast is None):
        return findings.disagreement or ""
    contrast = words.header_contrast if header.contrast else words.header_no_contrast
    says = words.phases[header.phase] if header.phase else contrast
    return words.disagree.format(header=says, image=words.phases[most_probable(findings)])
