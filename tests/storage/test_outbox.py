"""The outbox: sent, committed and verified are kept apart, and nothing is forgotten."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_factories import NOON, built, claimed, item, only

from storage.database import Database
from storage.errors import WrongTransition
from storage.jobs import Jobs
from storage.outbox import Outbox
from storage.pauses import pause
from storage.states import OutboxState

MINUTE = timedelta(minutes=1)


def sent(database: Database, results: int = 1) -> Outbox:
    """An outbox whose results were sent."""
    built(database, results=results)
    outbox = Outbox(database)
    for waiting in outbox.due("PACS", NOON):
        outbox.accepted(waiting.id, status=0, now=NOON)
    return outbox


def test_a_warning_counts_as_sent_and_keeps_its_status(database: Database) -> None:
    built(database)
    outbox = Outbox(database)
    answered = outbox.accepted(only(outbox.due("PACS", NOON)).id, status=0xB007, now=NOON, reason="not matching")
    assert (answered.state, answered.last_status, answered.last_reason) == (OutboxState.SENT, 0xB007, "not matching")
    assert outbox.due("PACS", NOON) == []


def test_what_could_not_be_sent_is_due_again_after_its_pause(database: Database) -> None:
    built(database)
    outbox = Outbox(database)
    waits = only(outbox.due("PACS", NOON))
    outbox.later(waits.id, status=None, reason="connection refused", next_attempt_at=NOON + MINUTE, now=NOON)
    assert outbox.due("PACS", NOON) == []
    again = only(outbox.due("PACS", NOON + MINUTE))
    assert (again.attempts, again.last_status, again.last_reason) == (1, None, "connection refused")


def test_a_destination_that_is_down_does_not_hold_up_another(database: Database) -> None:
    both = [item("1.9", destination) for destination in ("PACS", "BACKUP")]
    Jobs(database).finish_built(claimed(database), [], both, model="m", now=NOON)
    outbox = Outbox(database)
    outbox.rejected(only(outbox.due("PACS", NOON)).id, status=0x0122, reason="SOP class not supported", now=NOON)
    assert only(outbox.due("BACKUP", NOON)).state is OutboxState.PENDING


def test_commitment_confirms_only_what_was_asked_under_its_transaction(database: Database) -> None:
    outbox = sent(database, results=3)
    items = outbox.awaiting_commitment("PACS", NOON, ask_again_after=MINUTE)
    outbox.asked([i.id for i in items[:2]], transaction_uid="1.5", now=NOON)
    uids = [i.sop_uid for i in items]
    assert outbox.committed("1.6", uids, now=NOON) == 0
    assert outbox.committed("1.5", uids, now=NOON) == 2
    assert outbox.committed("1.5", uids, now=NOON) == 0
    assert outbox.destinations()[0].counts[OutboxState.COMMITTED] == 2


def test_what_the_archive_does_not_hold_is_sent_again(database: Database) -> None:
    outbox = sent(database)
    (waits,) = outbox.awaiting_commitment("PACS", NOON, ask_again_after=MINUTE)
    outbox.asked([waits.id], transaction_uid="1.5", now=NOON)
    reasons = {waits.sop_uid: "0x0112 no such object instance"}
    assert outbox.not_committed("1.5", reasons, now=NOON, next_attempt_at=NOON + MINUTE) == 1
    again = only(outbox.due("PACS", NOON + MINUTE))
    assert (again.attempts, again.transaction_uid, again.last_reason) == (1, None, reasons[waits.sop_uid])


def test_commitment_is_asked_for_again_after_the_time_out(database: Database) -> None:
    outbox = sent(database)
    (waits,) = outbox.awaiting_commitment("PACS", NOON, ask_again_after=MINUTE)
    outbox.asked([waits.id], transaction_uid="1.5", now=NOON)
    assert outbox.awaiting_commitment("PACS", NOON + MINUTE / 2, ask_again_after=MINUTE) == []
    assert only(outbox.awaiting_commitment("PACS", NOON + MINUTE, ask_again_after=MINUTE)).id == waits.id


def test_a_read_back_verifies_or_sends_again(database: Database) -> None:
    outbox = sent(database, results=2)
    found, lost = outbox.awaiting_commitment("PACS", NOON, ask_again_after=MINUTE)
    assert outbox.verified(found.id, now=NOON).state is OutboxState.VERIFIED
    assert outbox.missing(lost.id, reason="not listed", next_attempt_at=NOON, now=NOON).state is OutboxState.PENDING


def test_what_was_never_sent_cannot_be_verified(database: Database) -> None:
    built(database)
    outbox = Outbox(database)
    with pytest.raises(WrongTransition):
        outbox.verified(only(outbox.due("PACS", NOON)).id, now=NOON)


def test_a_refused_result_is_sent_again_by_hand_only(database: Database) -> None:
    built(database)
    outbox = Outbox(database)
    refused = outbox.rejected(only(outbox.due("PACS", NOON)).id, status=0xA900, reason="mismatch", now=NOON)
    assert outbox.due("PACS", NOON + 1000 * MINUTE) == []
    outbox.send_again(refused.id, now=NOON)
    assert only(outbox.due("PACS", NOON)).last_reason == ""


def test_a_destination_tells_since_when_and_why_it_waits(database: Database) -> None:
    built(database, results=2)
    outbox = Outbox(database)
    first, second = outbox.due("PACS", NOON)
    outbox.later(first.id, status=None, reason="no route", next_attempt_at=NOON + MINUTE, now=NOON)
    outbox.accepted(second.id, status=0, now=NOON + MINUTE)
    (state,) = outbox.destinations()
    assert (state.oldest_pending_at, state.last_sent_at) == (NOON, NOON + MINUTE)
    assert (state.attempts, state.last_reason) == (1, "no route")


@given(attempt=st.integers(1, 10_000), seed=st.integers())
def test_pauses_double_up_to_the_cap_with_jitter_of_half(attempt: int, seed: int) -> None:
    first, longest = timedelta(seconds=5), timedelta(hours=1)
    full = min(longest, first * 2 ** min(attempt - 1, 30))
    assert full / 2 <= pause(attempt, first=first, longest=longest, rng=Random(seed)) <= full
