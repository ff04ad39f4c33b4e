"""Two life cycles, each one table: (state, action) -> state. Whatever is not in the table cannot happen.

Job:     QUEUED ─claim▶ RUNNING ─finish▶ BUILT       RUNNING ─retry | lose lease▶ QUEUED
         RUNNING ─decline▶ DECLINED                  RUNNING ─give up▶ FAILED
         QUEUED | RUNNING ─supersede▶ DECLINED       (a newer generation of the series waits)
         {BUILT, DECLINED, FAILED, QUEUED} ─by hand▶ QUEUED
Outbox:  PENDING ─accept▶ SENT ─commit▶ COMMITTED    SENT ─verify▶ VERIFIED (read back by C-FIND or QIDO-RS)
         PENDING ─later▶ PENDING   PENDING ─reject▶ REJECTED   SENT ─not committed▶ PENDING
         {SENT, COMMITTED, VERIFIED, REJECTED, PENDING} ─by hand▶ PENDING
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from storage.errors import WrongTransition


class JobState(StrEnum):
    """Where one generation of one series stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    BUILT = "BUILT"
    DECLINED = "DECLINED"
    FAILED = "FAILED"


ENDED = frozenset({JobState.BUILT, JobState.DECLINED, JobState.FAILED})
"""Only a person moves a job out of these."""


class JobAction(StrEnum):
    """What moves a job."""

    CLAIM = "claim"
    FINISH = "finish"
    DECLINE = "decline"
    RETRY = "retry"
    LOSE_LEASE = "lose lease"
    GIVE_UP = "give up"
    SUPERSEDE = "supersede"
    BY_HAND = "by hand"


class OutboxState(StrEnum):
    """Where one result object stands on its way to one destination."""

    PENDING = "PENDING"
    SENT = "SENT"
    COMMITTED = "COMMITTED"
    VERIFIED = "VERIFIED"
    REJECTED = "REJECTED"


class OutboxAction(StrEnum):
    """What moves a result object."""

    ACCEPT = "accept"
    LATER = "later"
    REJECT = "reject"
    COMMIT = "commit"
    NOT_COMMITTED = "not committed"
    VERIFY = "verify"
    BY_HAND = "by hand"


class Disposition(StrEnum):
    """What is done with an instance that was received."""

    JUDGE = "judge"
    SET_ASIDE = "set aside"
    OWN = "own"
    """Made by this node: kept, and never a reason for a job."""


class VerdictState(StrEnum):
    """Whether one part of a series was judged."""

    JUDGED = "judged"
    DECLINED = "declined"


JOB_TRANSITIONS: Mapping[tuple[JobState, JobAction], JobState] = MappingProxyType(
    {
        (JobState.QUEUED, JobAction.CLAIM): JobState.RUNNING,
        (JobState.QUEUED, JobAction.SUPERSEDE): JobState.DECLINED,
        (JobState.QUEUED, JobAction.BY_HAND): JobState.QUEUED,
        (JobState.RUNNING, JobAction.FINISH): JobState.BUILT,
        (JobState.RUNNING, JobAction.DECLINE): JobState.DECLINED,
        (JobState.RUNNING, JobAction.RETRY): JobState.QUEUED,
        (JobState.RUNNING, JobAction.LOSE_LEASE): JobState.QUEUED,
        (JobState.RUNNING, JobAction.SUPERSEDE): JobState.DECLINED,
        (JobState.RUNNING, JobAction.GIVE_UP): JobState.FAILED,
        (JobState.BUILT, JobAction.BY_HAND): JobState.QUEUED,
        (JobState.DECLINED, JobAction.BY_HAND): JobState.QUEUED,
        (JobState.FAILED, JobAction.BY_HAND): JobState.QUEUED,
    }
)

OUTBOX_TRANSITIONS: Mapping[tuple[OutboxState, OutboxAction], OutboxState] = MappingProxyType(
    {
        (OutboxState.PENDING, OutboxAction.ACCEPT): OutboxState.SENT,
        (OutboxState.PENDING, OutboxAction.LATER): OutboxState.PENDING,
        (OutboxState.PENDING, OutboxAction.REJECT): OutboxState.REJECTED,
        (OutboxState.SENT, OutboxAction.COMMIT): OutboxState.COMMITTED,
        (OutboxState.SENT, OutboxAction.NOT_COMMITTED): OutboxState.PENDING,
        (OutboxState.SENT, OutboxAction.VERIFY): OutboxState.VERIFIED,
        **{(state, OutboxAction.BY_HAND): OutboxState.PENDING for state in OutboxState},
    }
)

S = TypeVar("S", JobState, OutboxState)
A = TypeVar("A", JobAction, OutboxAction)


def after(table: Mapping[tuple[S, A], S], state: S, action: A) -> S:
    """The state that `action` leads to from `state`. Raises WrongTransition where the table has no such step."""
    try:
        return table[state, action]
    except KeyError:
        raise WrongTransition(f"what is {state} cannot {action}") from None
