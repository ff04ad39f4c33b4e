"""Statuses are a table: complete, without overlaps, and each error of ours is one of them."""

import errno
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.errors import Refuse, Retry
from dicomnode.network.statuses import C_STORE_STATUSES, Outcome, answer_of, status_of


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0000, Outcome.ACCEPTED),
        (0xB000, Outcome.ACCEPTED),
        (0xB006, Outcome.ACCEPTED),
        (0xB007, Outcome.ACCEPTED),
        (0xA700, Outcome.LATER),
        (0xA7FF, Outcome.LATER),
        (0xA900, Outcome.REJECTED),
        (0xC000, Outcome.REJECTED),
        (0xCFFF, Outcome.REJECTED),
        (0x0122, Outcome.REJECTED),
        (0x0124, Outcome.REJECTED),
        (0xB123, Outcome.ACCEPTED),
        (0x1234, Outcome.REJECTED),
    ],
)
def test_a_status_means_what_the_standard_says(status: int, outcome: Outcome) -> None:
    """PS3.4 Table B.2-1 and PS3.7 Annex C."""
    answer = answer_of(status, "because")
    assert (answer.outcome, answer.status) == (outcome, status)
    assert "because" in answer.reason


def test_no_two_rows_overlap() -> None:
    """Each status has one meaning, with its section."""
    rows = sorted(C_STORE_STATUSES, key=lambda row: row.first)
    assert all(row.first <= row.last for row in rows)
    assert all(left.last < right.first for left, right in itertools.pairwise(rows))
    assert all(row.section.startswith("PS3.") for row in rows)


@given(st.integers(0, 0xFFFF))
def test_every_status_has_an_outcome(status: int) -> None:
    """Nothing a peer answers is left without a decision, and only Success has nothing to say."""
    answer = answer_of(status)
    assert (answer.reason == "") == (status == 0)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refuse("no", 0x0117), 0x0117),
        (OSError(errno.ENOSPC, "x"), 0xA700),
        (OSError(errno.EROFS, "x"), 0xA700),
        (OSError(errno.ENOENT, "/var/spool/secret"), 0x0110),
        (MemoryError(), 0xA700),
        (Retry("x"), 0xA700),
        (ValueError("x"), 0x0110),
    ],
)
def test_no_error_becomes_success(error: Exception, status: int) -> None:
    """Each error has its status, and the comment tells nothing of the inside."""
    found, comment = status_of(error)
    assert found == status
    assert "secret" not in comment
