"""What can go wrong, and what is then done: an exception class is a decision.

    DicomnodeError
    ├── ConfigurationError     the start stops: one line that names the field, exit code 2
    ├── Refuse                 an instance is not taken: its DIMSE status says why, nothing was promised
    ├── Decline                a series cannot be judged: DECLINED, with a reason that a person understands
    ├── Retry                  it may work later: the job goes back into the queue
    └── Fail                   it will never work: FAILED, and an administrator must look

`verdict` maps every exception, foreign ones included, to what happens to the job.
"""

from enum import Enum


class DicomnodeError(Exception):
    """Base of all errors that the node raises itself."""


class ConfigurationError(DicomnodeError):
    """A setting is wrong. The message names the field."""


class Refuse(DicomnodeError):
    """An instance is not taken."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        """DIMSE status, PS3.4 Table B.2-1."""


class Decline(DicomnodeError):
    """A series cannot be judged."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(DicomnodeError):
    """Something outside is not ready; the same step may work later."""


class Fail(DicomnodeError):
    """A step cannot work, however often it is tried."""


class Verdict(Enum):
    """What happens to a job after an exception."""

    RETRY = "retry"
    DECLINE = "decline"
    FAIL = "fail"


def verdict(error: BaseException) -> Verdict:
    """The decision an exception stands for; an unknown one is tried again, up to the attempt limit."""
    from inference.errors import CannotJudge

    if isinstance(error, (Decline, CannotJudge)):
        return Verdict.DECLINE
    if isinstance(error, Fail):
        return Verdict.FAIL
    return Verdict.RETRY
