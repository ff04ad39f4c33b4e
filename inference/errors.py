"""What can go wrong in inference: an exception class is a decision of the caller's.

Drawn as a tree:

    InferenceError
    ├── CannotJudge        this volume has no answer: the reason is for a person
    ├── InvalidBundle      the weights are not what their card says
    └── CannotExplain      this map cannot be made from this network
"""


class InferenceError(Exception):
    """Base of all errors raised here."""


class CannotJudge(InferenceError):
    """The volume lies outside what the models can answer; `reason` is a sentence that a radiographer understands."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidBundle(InferenceError):
    """A model bundle is missing, incomplete or altered."""


class CannotExplain(InferenceError):
    """The map asked for has no meaning for this network."""
