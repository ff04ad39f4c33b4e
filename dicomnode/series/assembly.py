"""Is a series complete, and by what evidence. Pure: the clock and the counts are handed in.

| evidence                                                        | answer                             |
|-----------------------------------------------------------------|------------------------------------|
| the archive holds exactly as many instances as have come        | complete after a short settling    |
| the archive holds more                                          | wait, at most `patience_seconds`   |
| nothing for `quiet_seconds`, no association open                | complete                           |
| nothing for `quiet_seconds`, an association is still open       | wait, at most `patience_seconds`   |

An archive that holds fewer, or none, is behind or was never meant to hold the series: it says nothing. A slice that
comes after the close opens the next generation, so closing too early costs a second answer, never a slice.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Rules:
    """The times of the table above, in seconds."""

    quiet_seconds: float = 15.0
    patience_seconds: float = 900.0
    settle_seconds: float = 2.0

    def __post_init__(self) -> None:
        if min(self.quiet_seconds, self.patience_seconds, self.settle_seconds) < 0:
            raise ValueError("times are not negative")


@dataclass(frozen=True)
class SeriesEvidence:
    """What is known of one open series. Times are aware and UTC."""

    count: int
    """SOP instances that have come, earlier generations included."""
    first_at: datetime
    last_at: datetime
    open_associations: int
    """Associations that brought something of the series and are still open."""
    pacs_count: int | None = None
    """Number of Series Related Instances (0020,1209) by the archive's answer; None: it did not say."""


@dataclass(frozen=True)
class Complete:
    """The series is closed."""

    reason: str


@dataclass(frozen=True)
class Wait:
    """The series stays open; nothing changes before `until` unless something arrives or an association ends."""

    until: datetime
    reason: str


def judge_completeness(evidence: SeriesEvidence, rules: Rules, now: datetime) -> Complete | Wait:
    """Whether the series is complete at `now`. Once complete it stays so, unless something arrives."""
    if evidence.pacs_count is not None and evidence.pacs_count == evidence.count:
        told = f"the archive holds {evidence.count} instances and all have come"
        return _after(rules.settle_seconds, evidence, now, told)
    behind = _until_patience(evidence)
    if behind is not None:
        open_reason, closed_reason = behind
        return _after(max(rules.quiet_seconds, rules.patience_seconds), evidence, now, closed_reason, open_reason)
    told = f"nothing came for {rules.quiet_seconds:g} s and no association is open"
    return _after(rules.quiet_seconds, evidence, now, told, "the series is not quiet yet")


def _until_patience(evidence: SeriesEvidence) -> tuple[str, str] | None:
    """(why to wait, why it was closed nevertheless) where only patience ends the waiting; None elsewhere."""
    if evidence.pacs_count is not None and evidence.pacs_count > evidence.count:
        missing = f"{evidence.count} of the archive's {evidence.pacs_count} instances have come"
        return missing, f"{missing}, and nothing more came for too long"
    if evidence.open_associations:
        return "an association that brought it is still open", "nothing came for too long on an open association"
    return None


def _after(
    seconds: float, evidence: SeriesEvidence, now: datetime, closed_reason: str, open_reason: str = "settling"
) -> Complete | Wait:
    until = evidence.last_at + timedelta(seconds=seconds)
    return Complete(closed_reason) if now >= until else Wait(until, open_reason)
