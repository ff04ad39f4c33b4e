"""What a description says of contrast: measured on descriptions that a person has read."""

import csv
import gzip
from pathlib import Path

import pytest
from descriptions import held_out, labelled
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.series.header_opinion import weak_label
from dicomnode.series.vocabulary import TABLE, phase_at, plainly, understand
from inference.phases import Phase

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "phrases", "least"), [("development", labelled(), 0.98), ("held-out", held_out(), 0.94)]
)
def test_descriptions_are_read_as_a_person_reads_them(
    name: str, phrases: list[tuple[str, str, bool | None]], least: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Most labelled phrases are understood, and none is taken for another phase."""
    right = telling = told = 0
    for text, phase, given_ in phrases:
        reading = understand(text)
        assert reading.phase is None or reading.phase == phase, (text, reading)
        match = (str(reading.phase or ""), reading.contrast) == (phase, given_)
        right += match
        telling += given_ is not None
        told += match and given_ is not None
    with capsys.disabled():
        print(
            f"\n{name}: {right} of {len(phrases)} descriptions understood as labelled, {told} of {telling} telling ones"
        )
    assert right >= least * len(phrases)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "least"),
    [("idc_v25_ct_phase_worded_series.csv.gz", 0.95), ("idc_v25_ct_series_descriptions.csv.gz", 0.05)],
)
def test_most_phase_worded_descriptions_say_something(
    name: str, least: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the distinct descriptions that were collected for their wording, most are understood."""
    path = ROOT.parent / "shared" / "data" / name
    if not path.exists():
        pytest.skip("the tables of real descriptions are not on this machine")
    with gzip.open(path, "rt") as file:
        texts = sorted({row["SeriesDescription"] for row in csv.DictReader(file)})
    readings = [understand(text) for text in texts]
    understood = sum(reading.contrast is not None for reading in readings)
    named = sum(reading.phase is not None for reading in readings)
    with capsys.disabled():
        print(f"\n{name}: {len(texts)} texts, {understood} tell of contrast, {named} name a phase")
    assert understood >= least * len(texts)


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    """No text raises, and only words that stand in it are reported."""
    reading = understand(text)
    assert all(word in plainly(text) for word in reading.words)
    if reading.phase is not None:
        assert reading.contrast is (reading.phase is not Phase.UNENHANCED)


def test_a_hostile_description_is_read_quickly() -> None:
    """Long runs of separators and half words don't make an expression run away."""
    import time

    started = time.process_time()
    for text in ("w/ " * 5000, "late " * 5000, "1," * 5000, "12 , " * 5000, "-" * 20_000, "a" * 20_000):
        understand(text)
    assert time.process_time() - started < 1


def test_a_reading_does_not_depend_on_case_or_separators() -> None:
    """PORTAL_VENOUS, portal-venous and Portal/Venous are one phrase."""
    phrases = ("PORTAL_VENOUS", "portal-venous", "Portal/Venous", "portalvenous", "PortalVenous", "portalvenös")
    assert {understand(text).phase for text in phrases} == {Phase.PORTAL_VENOUS}


def test_a_time_alone_names_the_phase_or_none_between_two() -> None:
    """25 s arterial, 70 s portal venous, 5 min delayed; 2 min lies between."""
    answers = {text: understand(text).phase for text in ("25 sec", "70s", "5 min", "2 min", "30/70 s")}
    assert answers == {"25 sec": Phase.ARTERIAL, "70s": Phase.PORTAL_VENOUS, "5 min": Phase.DELAYED, "2 min": None,
                       "30/70 s": None}  # fmt: skip
    assert phase_at(-5) is Phase.UNENHANCED
    assert phase_at(50) is None


def test_weak_labels_are_given_only_where_all_texts_agree() -> None:
    """For training a contradiction is worse than no label."""
    assert weak_label(["ARTERIAL 5mm", "CT ABDOMEN", "late art"]) is Phase.ARTERIAL
    assert weak_label(["ARTERIAL 5mm", "PORTAL"]) is None
    assert weak_label(["TRIPHASIC LIVER"]) is None
    assert weak_label([]) is None


def test_every_row_of_the_table_is_of_use() -> None:
    """No two rows are the same, and every expression is written as `plainly` writes text."""
    expressions = [expression for _, expression in TABLE]
    assert len(set(expressions)) == len(expressions)
    assert all(expression == expression.lower() for expression in expressions)
