"""Words for people, by language: what is said in free text and in series descriptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference.findings import Findings
from inference.phases import Phase

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "ai": "AI",
        "indeterminate": "INDETERMINATE",
        "declined": "NOT JUDGED",
        "disagreement": "HEADER DISAGREES",
        "summary": "Summary of the contrast phase analysis. Not for diagnostic use.",
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
        "summary": "Zusammenfassung der Kontrastphasen-Analyse. Nicht zur Diagnostik.",
        "map": "{method}-Karte über {where}: was für die Phase sprach. Nicht zur Diagnostik.",
        "maps": "{method}-Karten über Schlüsselschichten: was für die Phase sprach. Nicht zur Diagnostik.",
        "use": "Nicht zur Diagnostik",
        "series": "Serie {number}: {description}",
        "key_slice": "Schlüsselschicht {rank}",
        "map_name": "{method}-Karte",
    },
}

_PHASES: Mapping[str, Mapping[Phase, str]] = {
    "en": {phase: phase.value.upper() for phase in Phase},
    "de": {
        Phase.UNENHANCED: "NATIV",
        Phase.ARTERIAL: "ARTERIELL",
        Phase.PORTAL_VENOUS: "PORTALVENÖS",
        Phase.DELAYED: "SPÄTPHASE",
    },
}

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
        return f"{self._say('ai')} {_PHASES[self.language][findings.phase]} {100 * findings.confidence:.0f}%"

    def flag(self, findings: Findings) -> str:
        """How a series description ends: a contradiction of header and image must not wait for the last page."""
        return self._say("disagreement") if findings.disagreement else ""

    @property
    def declined(self) -> str:
        return f"{self._say('ai')} {self._say('declined')}"

    @property
    def summary_page(self) -> str:
        return self._say("summary")

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
