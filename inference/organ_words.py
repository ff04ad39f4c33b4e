"""What is said of organs, by language: their names, and the evidence as a radiologist would name it; their colours."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inference import german
from inference.findings import OrganMeasurement, OrganVote
from inference.phases import Phase
from inference.sentences import percent

CORTEX, MEDULLA, PELVIS = "renal cortex", "renal medulla", "renal pelvis"
ENHANCED_HU = 70.0
"""A kidney below this has no contrast to compare cortex and medulla by."""
EXCRETED_HU = 150.0
"""From this on there is contrast in the renal pelvis."""
ALIKE = 0.15
"""Cortex and medulla are alike within this share of the brighter one."""
MOST_CLAUSES = 3
DECIDED = 0.7
"""Least probability of a phase that the organs are said to speak for; as for the network's answers."""
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "aorta": (255, 92, 82),
    "inferior vena cava": (86, 180, 233),
    "portal vein": (208, 128, 255),
    "liver": (230, 159, 0),
    "spleen": (240, 228, 66),
    "renal cortex": (0, 196, 140),
    "renal medulla": (158, 240, 196),
    "renal pelvis": (255, 255, 255),
    "urinary bladder": (205, 160, 130),
}
"""English name -> colour of its outline; after Okabe and Ito's palette, told apart also by lightness."""


@dataclass(frozen=True)
class OrganWords:
    """The texts of one language; fields in braces are filled in."""

    names: Mapping[str, str]
    """English name -> name; a name that is not there stays as it is."""
    phases: Mapping[Phase, str]
    measured: str
    alike: str
    cortex_brighter: str
    medulla_brighter: str
    excreted: str
    not_excreted: str
    speak_for: str
    """Of the vote, in one line."""
    lean_to: str
    """The same where they are undecided."""
    say: str
    """The vote as a headline."""
    undecided: str
    rather: str
    """Beside the headline of an undecided vote."""
    title: str
    agrees: str
    contradicts: str
    differs: str
    no_vote: str
    organ: str
    volume: str
    expected: str
    saw: str
    """Under the map of an organ: what made the network draw it."""
    outlines: str
    by: str

    def name(self, organ: str) -> str:
        """The organ's name in this language."""
        return self.names.get(organ, organ)


_ENGLISH = OrganWords(
    names={},
    phases={phase: phase.value for phase in Phase},
    measured="{organ} {hu} HU",
    alike="renal cortex like medulla ({hu} HU)",
    cortex_brighter="renal cortex brighter than medulla ({cortex} against {medulla} HU)",
    medulla_brighter="renal medulla brighter than cortex ({medulla} against {cortex} HU)",
    excreted="contrast in the renal pelvis ({hu} HU)",
    not_excreted="no contrast in the renal pelvis ({hu} HU)",
    speak_for="Organs speak for {phase}, {percent} %: {evidence}",
    lean_to="Organs undecided, rather {phase}, {percent} %: {evidence}",
    say="Organs: {phase}  {percent} %",
    undecided="Organs: undecided",
    rather="rather {phase}, {percent} %",
    title="Organs and their attenuation · computed by AI",
    agrees="as the network says",
    contradicts="CONTRADICTS THE NETWORK",
    differs="the network leans to {phase}",
    no_vote="too few organs for a vote",
    organ="organ",
    volume="ml",
    expected="usual HU by phase (80 % of synthetic patients)",
    saw="Seg-Grad-CAM of {organ}",
    outlines="Organs as found",
    by="Organs by {name} {version} · weights {digest}",
)
_GERMAN = OrganWords(
    names={
        "aorta": "Aorta",
        "inferior vena cava": "Vena cava inferior",
        "portal vein": "Pfortader",
        "liver": "Leber",
        "spleen": "Milz",
        CORTEX: "Nierenrinde",
        MEDULLA: "Nierenmark",
        PELVIS: "Nierenbecken",
        "urinary bladder": "Harnblase",
    },
    phases=german.PHASES,
    measured="{organ} {hu} HU",
    alike="Nierenrinde wie Nierenmark ({hu} HU)",
    cortex_brighter="Nierenrinde heller als Mark ({cortex} gegen {medulla} HU)",
    medulla_brighter="Nierenmark heller als Rinde ({medulla} gegen {cortex} HU)",
    excreted="Kontrastmittel im Nierenbecken ({hu} HU)",
    not_excreted="kein Kontrastmittel im Nierenbecken ({hu} HU)",
    speak_for="Organe sprechen für {phase}, {percent} %: {evidence}",
    lean_to="Organe unentschieden, eher {phase}, {percent} %: {evidence}",
    say="Organe: {phase}  {percent} %",
    undecided="Organe: unentschieden",
    rather="eher {phase}, {percent} %",
    title="Organe und ihre Dichte · durch KI bestimmt",
    agrees="wie das Netz",
    contradicts="WIDERSPRICHT DEM NETZ",
    differs="das Netz neigt zu {phase}",
    no_vote="zu wenige Organe für eine Aussage",
    organ="Organ",
    volume="ml",
    expected="übliche HU je Phase (80 % synthetischer Patienten)",
    saw="Seg-Grad-CAM: {organ}",
    outlines="Gefundene Organe",
    by="Organe: {name} {version} · Gewichte {digest}",
)
ORGAN_WORDS: Mapping[str, OrganWords] = {"en": _ENGLISH, "de": _GERMAN}
"""The same languages as inference.rendering.wording.WORDS."""


def spoken(said: OrganVote, measurements: Sequence[OrganMeasurement], language: str = "en") -> str:
    """The vote in one line: "Organs speak for portal venous, 96 %: aorta 139 HU, …"."""
    words = ORGAN_WORDS[language]
    found = evidence(said, measurements, language)
    template = words.speak_for if said.confidence >= DECIDED else words.lean_to
    return template.format(phase=words.phases[said.phase], percent=percent(said.confidence), evidence=found)


def evidence(said: OrganVote, measurements: Sequence[OrganMeasurement], language: str = "en") -> str:
    """The organs that told most, and how: "aorta 168 HU, portal vein 165 HU, renal cortex like medulla (160 HU)"."""
    hounsfield = {found.organ: found.median_hu for found in measurements}
    clauses = dict.fromkeys(_clauses(said.telling, hounsfield, ORGAN_WORDS[language]))
    return ", ".join(list(clauses)[:MOST_CLAUSES])


def _clauses(telling: Sequence[str], hounsfield: Mapping[str, float], words: OrganWords) -> Iterator[str]:
    """One clause an organ; cortex and medulla, where both are known, share theirs."""
    for organ in telling:
        hu = hounsfield[organ]
        if organ in (CORTEX, MEDULLA) and max(hounsfield.get(CORTEX, 0), hounsfield.get(MEDULLA, 0)) >= ENHANCED_HU:
            yield _kidney(hounsfield, organ, words)
        elif organ == PELVIS:
            yield (words.excreted if hu >= EXCRETED_HU else words.not_excreted).format(hu=whole(hu))
        else:
            yield words.measured.format(organ=words.name(organ), hu=whole(hu))


def _kidney(hounsfield: Mapping[str, float], organ: str, words: OrganWords) -> str:
    if CORTEX not in hounsfield or MEDULLA not in hounsfield:
        return words.measured.format(organ=words.name(organ), hu=whole(hounsfield[organ]))
    cortex, medulla = hounsfield[CORTEX], hounsfield[MEDULLA]
    if abs(cortex - medulla) <= ALIKE * max(cortex, medulla):
        return words.alike.format(hu=whole((cortex + medulla) / 2.0))
    template = words.cortex_brighter if cortex > medulla else words.medulla_brighter
    return template.format(cortex=whole(cortex), medulla=whole(medulla))


def whole(hu: float) -> str:
    """HU as a whole number with a true minus sign."""
    return f"{hu:.0f}".replace("-", "\N{MINUS SIGN}")
