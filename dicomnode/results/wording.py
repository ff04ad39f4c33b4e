"""Words for people, by language: what is said in free text and in series descriptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dicomnode.results import german
from inference.findings import Findings
from inference.german import PHASES as GERMAN_PHASES
from inference.phases import Phase
from inference.sentences import Phrasebook, percent

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "ai": "AI",
        "indeterminate": "INDETERMINATE",
        "declined": "NOT JUDGED",
        "disagreement": "HEADER DISAGREES",
        "contribution": "Contrast phase of CT by artificial intelligence; not for diagnostic use",
        "summary": "Summary of the contrast phase analysis. Not for diagnostic use.",
        "organs": "Organs as found, and their attenuation. Not for diagnostic use.",
        "map": "{method} map over {where}: what spoke for the phase. Not for diagnostic use.",
        "maps": "{method} maps over key slices: what spoke for the phase. Not for diagnostic use.",
        "use": "Not for diagnostic use",
        "series": "Series {number}: {description}",
        "key_slice": "Key slice {rank}",
        "map_name": "{method} map",
    },
    "de": {
        "ai": "KI",
        "indeterminate": "UNBESTIMMT",
        "declined": "NICHT BEURTEILT",
        "disagreement": "HEADER WIDERSPRICHT",
        "contribution": "Kontrastphase der CT durch künstliche Intelligenz; nicht für die Diagnostik",
        "summary": "Zusammenfassung der Kontrastphasen-Analyse. Nicht für die Diagnostik.",
        "organs": "Gefundene Organe und ihre Dichte. Nicht für die Diagnostik.",
        "map": "{method}-Karte über {where}: was für die Phase sprach. Nicht für die Diagnostik.",
        "maps": "{method}-Karten über Schlüsselschichten: was für die Phase sprach. Nicht für die Diagnostik.",
        "use": "Nicht für die Diagnostik",
        "series": "Serie {number}: {description}",
        "key_slice": "Schlüsselschicht {rank}",
        "map_name": "{method}-Karte",
    },
}

_PHASES: Mapping[str, Mapping[Phase, str]] = {
    "en": {phase: phase.value.upper() for phase in Phase},
    "de": {phase: name.upper() for phase, name in GERMAN_PHASES.items()},
}

_BOOKS: Mapping[str, Phrasebook] = {"en": Phrasebook({}), "de": german.BOOK}

_METHODS = {"sam": "SAM", "grad-cam": "Grad-CAM", "cam": "CAM", "hirescam": "HiResCAM", "saliency": "Saliency"}


@dataclass(frozen=True)
class Words:
    """The words of one language of `ResultOptions`."""

    language: str

    def _say(self, name: str, **values: object) -> str:
        return _WORDS[self.language][name].format(**values)

    def answer(self, findings: Findings) -> str:
        """How a series description begins; most important words first, for viewers cut after 15 characters."""
        if findings.phase is None:
            return f"{self._say('ai')} {self._say('indeterminate')}"
        return f"{self._say('ai')} {_PHASES[self.language][findings.phase]} {percent(findings.confidence)}%"

    def flag(self, findings: Findings) -> str:
        """How a series description ends: a contradiction of header and image must not wait for the last page."""
        return self._say("disagreement") if findings.disagreement else ""

    def sentence(self, text: str) -> str:
        """A reason or note, which is made in English, in this language."""
        return _BOOKS[self.language].say(text)

    def evidence(self, line: str) -> str:
        """One line of `HeaderOpinion.evidence` in this language."""
        return german.evidence(line) if self.language == "de" else line

    @property
    def contribution(self) -> str:
        """What the model contributed, for Contributing Equipment."""
        return self._say("contribution")

    @property
    def declined(self) -> str:
        return f"{self._say('ai')} {self._say('declined')}"

    @property
    def summary_page(self) -> str:
        return self._say("summary")

    @property
    def organ_page(self) -> str:
        return self._say("organs")

    @property
    def intended_use(self) -> str:
        return self._say("use")

    def map_of(self, method: str, where: str) -> str:
        return self._say("map", method=method_name(method), where=where)

    def maps_of(self, methods: Sequence[str]) -> str:
        return self._say("maps", method=" / ".join(method_name(m) for m in methods))

    def map_name(self, method: str) -> str:
        return self._say("map_name", method=method_name(method))

    def key_slice(self, rank: int) -> str:
        return self._say("key_slice", rank=rank)

    def series(self, number: str, description: str) -> str:
        return self._say("series", number=number or "?", description=description or "-")


def method_name(method: str) -> str:
    """A map method as it is written: "SAM", "Grad-CAM"."""
    return _METHODS.get(method, method)
