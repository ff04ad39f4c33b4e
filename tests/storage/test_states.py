"""The tables of transitions."""

from itertools import product

import pytest

from storage.errors import WrongTransition
from storage.states import (
    ENDED,
    JOB_TRANSITIONS,
    OUTBOX_TRANSITIONS,
    JobAction,
    JobState,
    OutboxAction,
    OutboxState,
    after,
)


@pytest.mark.parametrize(("state", "action"), list(product(JobState, JobAction)))
def test_a_job_step_that_is_not_in_the_table_is_refused(state: JobState, action: JobAction) -> None:
    if (state, action) in JOB_TRANSITIONS:
        assert after(JOB_TRANSITIONS, state, action) is JOB_TRANSITIONS[state, action]
    else:
        with pytest.raises(WrongTransition, match=f"{state} cannot {action}"):
            after(JOB_TRANSITIONS, state, action)


def test_only_a_person_moves_a_job_that_has_ended() -> None:
    assert {action for state, action in JOB_TRANSITIONS if state in ENDED} == {JobAction.BY_HAND}


def test_a_result_is_confirmed_only_after_it_was_sent() -> None:
    confirmed = {OutboxState.COMMITTED, OutboxState.VERIFIED}
    assert {state for (state, _), to in OUTBOX_TRANSITIONS.items() if to in confirmed} == {OutboxState.SENT}


def test_every_state_can_be_reached_and_every_action_is_used() -> None:
    assert set(JOB_TRANSITIONS.values()) == set(JobState)
    assert set(OUTBOX_TRANSITIONS.values()) == set(OutboxState)
    assert {action for _, action in JOB_TRANSITIONS} == set(JobAction)
    assert {action for _, action in OUTBOX_TRANSITIONS} == set(OutboxAction)
