"""German results are German throughout: every reason, note and hint that the code can make has a translation."""

import ast
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import findings_factory as make
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomnode import declining, pipeline, roles
from dicomnode.results import ResultOptions, compose_declined, german
from dicomnode.series import acquisitions, geometry, header, header_opinion, part10, pixels, screening, slices, volume
from dicomnode.series.volume import Unjudgeable
from inference import judge, organ_findings, phases, segment
from inference.findings import HeaderOpinion
from inference.phases import Phase
from inference.rendering.wording import WORDS, warnings

SPEAKING = (
    phases,
    judge,
    organ_findings,
    segment,
    volume,
    slices,
    pixels,
    header_opinion,
    acquisitions,
    geometry,
    screening,
    declining,
    pipeline,
    roles,
)
"""Modules whose sentences and phrases reach results."""

MUTE = ("ValueError", "warning", "info", "error", "debug", "exception", "getattr", "InvalidBundle", "CannotExplain")
"""What is called with words that no result quotes: errors of programming, the log."""

ELSEWHERE = {
    ("not committed, failure reason 0x", ""),
    ("set aside",),
    ("This object was made by this node.",),
    ("No report can be sent: no instance is left whose header can be read.",),
    ("No report is sent: ", ""),
    ("out of memory: ", ""),
}
"""What is said in the job log alone."""

Shape = tuple[str, ...]
"""A sentence's literal parts, with what is filled in left out."""

GERMAN = ResultOptions(language="de", declined_report=True)


def _phrases(tree: ast.AST) -> Iterator[Shape]:
    """Every string of several words in a module, but for documentation and what `MUTE` is called with."""
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    silent |= {id(getattr(node, name, None)) for node in ast.walk(tree) for name in ("annotation", "returns")}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in MUTE:
            silent |= {id(part) for argument in call.args for part in ast.walk(argument)}
    inside = {id(p) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for p in ast.walk(node)} - silent
    for node in ast.walk(tree):
        if id(node) in silent:
            continue
        if isinstance(node, ast.JoinedStr):
            yield _shape([p.value if isinstance(p, ast.Constant) else None for p in node.values])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield (node.value,)


def _shape(parts: list[str | None]) -> Shape:
    found = [""]
    for part in parts:
        if part is None:
            found.append("")
        else:
            found[-1] += part
    return tuple(found)


def _told(module: object) -> list[Shape]:
    """What a module says to people: several words that are not all capitals."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    return [s for s in _phrases(tree) if " " in "…".join(s).strip() and not "".join(s).isupper()]


def _known() -> set[Shape]:
    books = (german.BOOK, german.FAULTS, german.QUOTED)
    shapes = {_template(template) for book in books for template in book.sentences}
    return shapes | {(source,) for source in german.SOURCES} | FRAGMENTS


FRAGMENTS = {
    ("", " % for ", ""),
    (" and ",),
    ("", " ", "", ""),
    ("", ": ", ""),
    ("unknown SOP class",),
    ("no contrast",),
    ("portal venous",),
    (" Storage",),
    ("", " ", ""),
    ("", " ", " ", ""),
    ("unknown modality",),
} | {(name,) for name in screening.ANSWERED_CLASSES.values()}
"""Pieces that are put into sentences: shares, counts, and lines of evidence; names of models and of SOP classes."""


def _template(text: str) -> Shape:
    parts: list[str | None] = []
    for literal, name, _, _ in Formatter().parse(text):
        parts += [literal] if name is None else [literal, None]
    return _shape(parts)


@pytest.mark.parametrize("module", SPEAKING, ids=lambda module: module.__name__)
def test_every_sentence_of_the_code_has_a_german_one(module: object) -> None:
    """A new reason without a translation fails here, wherever in the module it stands."""
    assert [shape for shape in _told(module) if shape not in _known() | ELSEWHERE] == []


def test_the_walk_finds_sentences() -> None:
    """It would notice: each speaking module but the two that hand reasons on says something."""
    counts = {module.__name__.rsplit(".")[-1]: len(_told(module)) for module in SPEAKING}
    assert counts["phases"] >= 6
    assert counts["volume"] >= 12
    assert counts["slices"] + counts["pixels"] >= 25
    assert counts["screening"] >= 5
    assert counts["declining"] >= 3
    assert ("", " left out: ", ".") in _told(volume)


def test_no_translation_is_for_a_sentence_that_nobody_says() -> None:
    """The table holds what the code says, and nothing else."""
    said = {shape for module in SPEAKING for shape in _told(module)}
    said |= {*_told(header), *_told(part10)}
    kept = {_template(t) for book in (german.BOOK, german.FAULTS) for t in book.sentences}
    silent = {s for s in kept - said if s not in {("not a CT image (unknown SOP class)",)}}
    assert silent == set()


VALUES = {
    "number": st.integers(0, 5000).map(str),
    "phase": st.sampled_from([p.value for p in Phase]),
    "shares": st.just("60 % for arterial and 40 % for delayed"),
    "count": st.sampled_from(["1 slice", "2 slices", "1 instance", "9 instances", "3 gaps"]),
    "fault": st.sampled_from(["localizer or scout image", "absurd size of 1 x 70000 pixels", "not a CT image (MR)"]),
    "side": st.sampled_from(["contrast", "no contrast", "portal venous"]),
    "modality": st.sampled_from(["MR", "PT", "unknown modality"]),
    "name": st.just("ImagerPixelSpacing"),
}


@given(st.data())
def test_sentences_that_follow_each_other_are_all_translated(data: st.DataObject) -> None:
    """In any order and with any values; no field of the template remains."""
    templates = data.draw(st.lists(st.sampled_from([t for t in german.BOOK.sentences if t.endswith(".")]), max_size=4))
    text = " ".join(_filled(template, data) for template in templates)
    said = german.BOOK.say(text)
    assert german.BOOK.unknown(text) == []
    assert "{" not in said
    assert not {"slices", "series", "the", "left"} & set(said.replace(".", " ").lower().split())


def _filled(template: str, data: st.DataObject) -> str:
    pieces = []
    for literal, name, kind, _ in Formatter().parse(template):
        pieces += [literal] if name is None or kind is None else [literal, data.draw(VALUES[kind])]
    return "".join(pieces)


def test_an_unknown_reason_stays_as_it_is() -> None:
    """A reason in the wrong language is better than none, and what is known beside it is translated."""
    text = "Odd things (see 1.5) happened. The series has no images."
    assert german.BOOK.say(text) == "Odd things (see 1.5) happened. Die Serie hat keine Bilder."


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Series Description: portal, 70 s", "Serienbeschreibung: portal, 70 s"),
        ("Acquisition Time: 66 s after the start of the injection", "Aufnahmezeit: 66 s nach Beginn der Injektion"),
        ("Contrast/Bolus Agent: given", "Kontrastmittel: verabreicht"),
    ],
)
def test_what_the_header_says_is_quoted_in_german(line: str, said: str) -> None:
    """The attribute by its German name, the header's own words as they are."""
    assert german.evidence(line) == said


VOLUME = make.volume()


def _said(item: Dataset) -> str:
    """Every text of a content tree, and every description."""
    values = [str(item.get(keyword, "")) for keyword in ("TextValue", "SeriesDescription", "ContributionDescription")]
    return "\n".join(values + [_said(child) for e in item if e.VR == "SQ" for child in e.value])


def test_a_german_report_holds_no_english_reason() -> None:
    """Reason, disagreement, evidence and use."""
    findings = make.findings(
        VOLUME,
        None,
        reason="The enhancement lies between arterial and portal venous.",
        disagreement="header: no contrast; image: arterial",
        header=HeaderOpinion(False, None, ("Series Description: nativ",)),
    )
    text = _said(make.decode(make.results(findings, VOLUME, options=GERMAN)[-1]))
    for said in (
        "Die Kontrastierung liegt zwischen arteriell und portalvenös.",
        "Kopfdaten: kein Kontrastmittel; Bild: arteriell",
        "Serienbeschreibung: nativ",
        "Nicht für die Diagnostik",
    ):
        assert said in text
    for said in ("lies between", "no contrast", "Series Description:", "diagnostic use"):
        assert said not in text


def test_a_german_page_gives_its_reason_in_german() -> None:
    """The summary page, and the document made from it."""
    findings = make.findings(VOLUME, None, reason=phases.TOO_LITTLE)
    assert warnings(findings, WORDS["de"])[0].startswith("Zu wenig Anatomie")


def test_a_declined_series_is_declined_in_german() -> None:
    """Every sentence of the reason."""
    reason = "The series has 3 slices; at least 8 are needed. 2 instances left out: localizer or scout image."
    (made,) = compose_declined(reason, make.headers(3), GERMAN, make.context(part_label="acquisition 2"))
    dataset = make.decode(made)
    text = _said(dataset)
    assert "Die Serie hat 3 Schichten; nötig sind mindestens 8. 2 Instanzen ausgelassen: Übersichtsaufnahme" in text
    assert dataset.SeriesDescription == "KI NICHT BEURTEILT S4 Aufnahme 2"


@pytest.mark.real
def test_reasons_of_real_odd_files_are_all_known(real_data: Path) -> None:
    """Every file that is declined alone, of all that were collected for being odd."""
    parts = [part for path in sorted((real_data / "robust").iterdir()) for part in volume.load([path])]
    reasons = {part.reason for part in parts if isinstance(part, Unjudgeable)}
    assert len(reasons) > 5
    assert [sentence for reason in reasons for sentence in german.BOOK.unknown(reason)] == []
    # Faults are phrases inside a sentence, which matches whatever they are.
    faults = [line.split(": ", 1)[1].rstrip(".") for line in _left_out(reasons)]
    assert [fault for fault in faults if german.FAULTS.unknown(fault)] == []


def _left_out(reasons: set[str]) -> list[str]:
    return [s + "." for reason in reasons for s in reason.split(". ") if " left out: " in s]
