"""When a series is complete."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.series.assembly import Complete, Rules, SeriesEvidence, Wait, judge_completeness

START = datetime(2024, 1, 1, 12, 0, tzinfo=UTC)
RULES = Rules(quiet_seconds=15, patience_seconds=900, settle_seconds=2)
SERIES = SeriesEvidence(count=48, first_at=START, last_at=START, open_associations=0)

evidences = st.builds(
    SeriesEvidence,
    count=st.integers(1, 100),
    first_at=st.just(START),
    last_at=st.integers(0, 600).map(lambda s: START + timedelta(seconds=s)),
    open_associations=st.integers(0, 3),
    pacs_count=st.none() | st.integers(0, 100),
)
rules = st.builds(Rules, *[st.floats(0, 1000)] * 3)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_quiet_series_without_open_association_is_complete() -> None:
    """After the quiet time, and not before."""
    assert judge_completeness(SERIES, RULES, after(14)) == Wait(after(15), "the series is not quiet yet")
    done = judge_completeness(SERIES, RULES, after(15))
    assert done == Complete("nothing came for 15 s and no association is open")


def test_an_open_association_holds_the_series_open_until_patience_ends() -> None:
    """A sender may pause between slices, but not for ever."""
    open_series = replace(SERIES, open_associations=1)
    assert isinstance(judge_completeness(open_series, RULES, after(60)), Wait)
    done = judge_completeness(open_series, RULES, after(900))
    assert isinstance(done, Complete)
    assert "open association" in done.reason


def test_the_archives_count_closes_early() -> None:
    """All of the archive's instances are there: no need for quiet, nor for the association to end."""
    series = replace(SERIES, pacs_count=48, open_associations=1)
    assert isinstance(judge_completeness(series, RULES, after(1)), Wait)
    done = judge_completeness(series, RULES, after(2))
    assert isinstance(done, Complete)
    assert "48" in done.reason


def test_the_archive_knows_of_more_to_come() -> None:
    """Quiet does not close a series of which slices are known to be missing; patience does, and says so."""
    series = replace(SERIES, pacs_count=60)
    waiting = judge_completeness(series, RULES, after(60))
    assert isinstance(waiting, Wait)
    assert "48 of the archive's 60" in waiting.reason
    done = judge_completeness(series, RULES, after(900))
    assert isinstance(done, Complete)
    assert "48 of the archive's 60" in done.reason


@pytest.mark.parametrize("pacs_count", [0, 20])
def test_an_archive_that_is_behind_says_nothing(pacs_count: int) -> None:
    """Fewer instances there than here: the quiet time decides."""
    assert isinstance(judge_completeness(replace(SERIES, pacs_count=pacs_count), RULES, after(15)), Complete)


@given(evidences, rules, st.floats(0, 5000), st.floats(0, 5000))
def test_once_complete_stays_complete(evidence: SeriesEvidence, times: Rules, now: float, later: float) -> None:
    """Time alone never opens a closed series again."""
    if isinstance(judge_completeness(evidence, times, after(now)), Complete):
        assert isinstance(judge_completeness(evidence, times, after(now + later)), Complete)


@given(evidences, rules)
def test_no_series_waits_for_ever(evidence: SeriesEvidence, times: Rules) -> None:
    """Whatever the evidence, the longest of the times closes it."""
    longest = max(times.quiet_seconds, times.patience_seconds, times.settle_seconds)
    assert isinstance(judge_completeness(evidence, times, evidence.last_at + timedelta(seconds=longest)), Complete)


@given(evidences, rules, st.floats(0, 5000))
def test_a_wait_ends_when_it_says(evidence: SeriesEvidence, times: Rules, now: float) -> None:
    """`until` lies ahead, and asking again then gets on: closed, or the next wait, which is later."""
    answer = judge_completeness(evidence, times, after(now))
    if isinstance(answer, Wait):
        assert answer.until > after(now)
        then = judge_completeness(evidence, times, answer.until)
        assert isinstance(then, Complete) or then.until > answer.until


def test_negative_times_are_no_rules() -> None:
    """Rules are valid once constructed."""
    with pytest.raises(ValueError, match="negative"):
        Rules(quiet_seconds=-1)
