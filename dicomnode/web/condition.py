"""How the node is: what an administrator must look at, in sentences; and the same for machines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from dicomnode.web.node import Node
from storage.joblog import JobLog
from storage.outbox import DestinationState, Outbox
from storage.roles import Role, Roles
from storage.states import JobState, OutboxState


@dataclass(frozen=True)
class Trouble:
    """Something an administrator must look at."""

    text: str
    link: str = ""
    """Where to look; empty: nowhere on these pages."""


@dataclass(frozen=True)
class Condition:
    """The node at one moment."""

    jobs: Mapping[JobState, int]
    destinations: Sequence[DestinationState]
    roles: Sequence[Role]
    """Processes that said that they run, living or gone."""
    silent: frozenset[str]
    """Those of them that were not heard of for too long."""
    free_bytes: int
    troubles: Sequence[Trouble]

    @property
    def well(self) -> bool:
        """Whether nothing needs a look."""
        return not self.troubles


def examine(node: Node) -> Condition:
    """Look at everything once. Raises storage's DatabaseError, SpoolError."""
    jobs = JobLog(node.database).counts()
    destinations = _with_unused(Outbox(node.database).destinations(), node.destinations)
    roles = [role for role in Roles(node.database).all() if role.state == "running"]
    silent = frozenset(role.process for role in roles if role.seen_at < node.now() - node.silence)
    free = node.free_bytes()
    troubles = [
        *_of_space(node, free),
        *_of_roles(node, roles, silent),
        *_of_jobs(jobs),
        *(trouble for state in destinations for trouble in _of_destination(state)),
    ]
    return Condition(jobs, destinations, roles, silent, free, troubles)


def _with_unused(found: Sequence[DestinationState], configured: Sequence[str]) -> list[DestinationState]:
    """Add the configured destinations that nothing was made for yet."""
    unused = [
        DestinationState(
            destination=name,
            counts=dict.fromkeys(OutboxState, 0),
            oldest_pending_at=None,
            last_sent_at=None,
            attempts=0,
            last_reason="",
        )
        for name in configured
        if name not in {state.destination for state in found}
    ]
    return sorted([*found, *unused], key=lambda state: state.destination)


def _of_space(node: Node, free: int) -> list[Trouble]:
    if free >= node.reserve_bytes:
        return []
    return [Trouble("The disk is below its reserve: new associations are rejected until there is room.")]


def _of_roles(node: Node, roles: Sequence[Role], silent: frozenset[str]) -> list[Trouble]:
    alive = {role.role for role in roles if role.process not in silent}
    gone = [role for role in node.roles if role not in alive]
    return [Trouble(f"No {role} was heard of for {_words(node.silence)}.") for role in gone]


def _of_jobs(jobs: Mapping[JobState, int]) -> list[Trouble]:
    failed = jobs[JobState.FAILED]
    if not failed:
        return []
    return [Trouble(f"{failed} {'job has' if failed == 1 else 'jobs have'} failed.", "/jobs?state=FAILED")]


def _of_destination(state: DestinationState) -> list[Trouble]:
    troubles = []
    refused, waiting = state.counts[OutboxState.REJECTED], state.counts[OutboxState.PENDING]
    if refused:
        troubles.append(Trouble(f"{state.destination} refused {_results(refused)} for good."))
    if waiting and state.attempts:
        why = f": {state.last_reason}" if state.last_reason else ""
        troubles.append(Trouble(f"{_results(waiting)} could not be sent to {state.destination} yet{why}."))
    return troubles


def _results(count: int) -> str:
    return "1 result" if count == 1 else f"{count} results"


def _words(span: timedelta) -> str:
    return f"{span.total_seconds():.0f} seconds"
