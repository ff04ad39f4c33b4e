"""The page: six verbs carry a series from the association to the archive that confirms its results.

    association ──receive──▶ spool ──assemble──▶ job ──analyse──▶ findings
        ──compose──▶ outbox ──deliver──▶ archive ──confirm──▶ committed

Each verb is a function of what it works on; sockets, threads, SQL, devices and the clock are handed in. Every verb may
run twice with the effect of once: spool paths and result UIDs are functions of their inputs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dicomnode.errors import Decline
from dicomnode.reception import Reception, Record, Request, Sender
from dicomnode.results import (
    InstanceReference,
    ResultContext,
    ResultObject,
    ResultOptions,
    compose_declined,
)
from dicomnode.results import compose as compose_objects
from dicomnode.series.assembly import Rules, SeriesEvidence, Wait, judge_completeness
from dicomnode.series.screening import Policy
from dicomnode.series.volume import Limits, Part, Unjudgeable, load, unread
from inference.errors import CannotJudge
from inference.findings import Findings
from inference.volume import Volume
from storage.joblog import Job
from storage.jobs import Jobs
from storage.outbox import Outbox, OutboxItem
from storage.spool import Spool
from storage.waiting import OpenSeries

Clock = Callable[[], datetime]
"""The present moment, aware, UTC."""


def receive(request: Request, sender: Sender, spool: Spool, policy: Policy, record: Record, clock: Clock) -> Reception:
    """An instance that begins to arrive. Its `finish` answers Success once the bytes are durable in the spool."""
    return Reception(request, sender, spool, policy, record, clock)


Count = Callable[[str, str], int | None]
"""count(study_uid, series_uid) -> Number of Series Related Instances at the archive; None: it does not say."""


def assemble(series: OpenSeries, jobs: Jobs, count: Count, rules: Rules, now: datetime) -> Job | None:
    """The job of a series that is complete, with the evidence that closed it; None while there is reason to wait."""
    evidence = SeriesEvidence(
        count=series.count,
        first_at=series.first_at,
        last_at=series.last_at,
        open_associations=series.open_associations,
        pacs_count=count(series.study_uid, series.series_uid),
    )
    judgement = judge_completeness(evidence, rules, now)
    if isinstance(judgement, Wait):
        return None
    where = (series.study_uid, series.series_uid)
    return jobs.create(*where, closed_reason=judgement.reason, now=now, up_to=series.last_arrival_id)


@dataclass(frozen=True)
class Judged:
    """A part of a series that has an answer, "indeterminate" included."""

    part: Part
    findings: Findings


@dataclass(frozen=True)
class Declined:
    """A part of a series that has none."""

    part: Part | Unjudgeable
    reason: str


Outcome = Judged | Declined
JudgeVolume = Callable[[Volume], Findings]


def analyse(paths: Sequence[Path], judge: JudgeVolume, limits: Limits) -> list[Outcome]:
    """What is said of each acquisition in the series that lies in `paths`; never empty."""
    return [_analyse_part(part, judge) for part in load(paths, limits=limits)]


def decline(paths: Iterable[Path], reason: str) -> Declined:
    """What is said of a series that is declined unread: `paths` are files to take the header of its report from."""
    return Declined(unread(paths, reason), reason)


def _analyse_part(part: Part | Unjudgeable, judge: JudgeVolume) -> Outcome:
    if isinstance(part, Unjudgeable):
        return Declined(part, part.reason)
    try:
        findings = judge(part.volume)
    except (CannotJudge, Decline) as error:
        return Declined(part, error.reason)
    opinion = part.header_opinion
    return Judged(
        part, replace(findings, header=opinion, disagreement=disagreement(findings, opinion.contrast, opinion.phase))
    )


def disagreement(findings: Findings, contrast: bool | None, phase: str | None) -> str | None:
    """Where header and picture contradict each other, in words; None where they do not.

    The header never overrides the picture. An indeterminate picture contradicts nothing.
    """
    if findings.phase is None:
        return None
    enhanced = findings.phase != "unenhanced"
    if phase is not None and phase != findings.phase:
        return f"header: {phase}; image: {findings.phase}"
    if contrast is not None and contrast != enhanced:
        return f"header: {'contrast' if contrast else 'no contrast'}; image: {findings.phase}"
    return None


Predecessors = Mapping[int, InstanceReference]
"""Index of a part -> the report that this one's takes the place of."""


def compose(
    outcomes: Iterable[Outcome], options: ResultOptions, context: ResultContext, predecessors: Predecessors
) -> list[list[ResultObject]]:
    """The objects to send for each outcome, each past the gate. The same outcomes give the same bytes.

    Raises Fail, naming the rule, when the gate refuses one: then nothing is sent.
    """
    made = []
    for outcome in outcomes:
        made.append(_compose_part(outcome, options, _of_part(context, outcome.part, predecessors)))
    return made


def _of_part(context: ResultContext, part: Part | Unjudgeable, predecessors: Predecessors) -> ResultContext:
    frames = part.frames if isinstance(part, Part) else ()
    return replace(
        context,
        part_index=part.index - 1,
        part_label=part.label,
        frames=frames,
        predecessor=predecessors.get(part.index),
    )


def _compose_part(outcome: Outcome, options: ResultOptions, context: ResultContext) -> list[ResultObject]:
    if isinstance(outcome, Judged):
        return compose_objects(outcome.findings, outcome.part.headers, outcome.part.volume, options, context)
    if options.declined_report and outcome.part.headers:
        return compose_declined(outcome.reason, outcome.part.headers, options, context)
    return []


class Answer(Protocol):
    """What the archive said to one object."""

    @property
    def outcome(self) -> str: ...
    @property
    def status(self) -> int | None: ...
    @property
    def reason(self) -> str: ...


Send = Callable[[Sequence[OutboxItem]], Iterator[tuple[OutboxItem, Answer]]]
NextAttempt = Callable[[int], datetime]
"""next_attempt(failed attempts so far) -> when to try again."""


def deliver(items: Sequence[OutboxItem], send: Send, outbox: Outbox, next_attempt: NextAttempt, clock: Clock) -> int:
    """Sends what is due to one destination and writes each answer down as it comes; the number of accepted objects."""
    accepted = 0
    for item, answer in send(items):
        now = clock()
        if answer.outcome == "accepted":
            outbox.accepted(item.id, status=answer.status or 0, reason=answer.reason, now=now)
            accepted += 1
        elif answer.outcome == "rejected":
            outbox.rejected(item.id, status=answer.status, reason=answer.reason, now=now)
        else:
            again = next_attempt(item.attempts + 1)
            outbox.later(item.id, status=answer.status, reason=answer.reason, next_attempt_at=again, now=now)
    return accepted


def confirm(
    transaction_uid: str, committed: Iterable[str], failed: Iterable[tuple[str, int]], outbox: Outbox, now: datetime
) -> None:
    """Writes down what the archive says it keeps for good; what it says it lacks is due to be sent again.

    `failed` are (SOP Instance UID, Failure Reason (0008,1197)).
    """
    outbox.committed(transaction_uid, committed, now=now)
    if reasons := {uid: f"not committed, failure reason 0x{reason:04X}" for uid, reason in failed}:
        outbox.not_committed(transaction_uid, reasons, now=now, next_attempt_at=now)
