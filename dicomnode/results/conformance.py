"""The gate: no object leaves that breaks a rule. It fails closed.

`rules.RULES` is the table: each rule has a name, which the job log shows, and a function that yields what is wrong.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from dicomnode.errors import Fail
from dicomnode.results.options import ResultObject
from dicomnode.results.rules import RULES, Known, Rule


@dataclass(frozen=True)
class Violation:
    """One rule that an object breaks."""

    rule: str
    """Name in RULES."""
    text: str
    """What is wrong, without patient data."""


def require(objects: Sequence[ResultObject], sources: Sequence[Dataset]) -> None:
    """Nothing when every object may leave. Raises Fail that names the rules broken: then nothing is sent."""
    known = Known(tuple(sources), tuple((o.sop_class_uid, o.sop_instance_uid) for o in objects))
    found = [(o.kind, violation) for o in objects for violation in _check(o, known)]
    if found:
        raise Fail("; ".join(f"{kind}: rule {v.rule}: {v.text}" for kind, v in found[:10]))


def check(
    made: Dataset | ResultObject, sources: Sequence[Dataset], siblings: Iterable[tuple[str, str]] = ()
) -> list[Violation]:
    """Every rule that an object breaks; empty when it may leave.

    `sources` are the headers of the instances received, `siblings` (SOP class, SOP instance) of what is made with it.
    """
    return _check(made, Known(tuple(sources), tuple(siblings)))


def _check(made: Dataset | ResultObject, known: Known) -> list[Violation]:
    if not known.sources:
        return [Violation("sources", "no source instance is known")]
    try:
        dataset = decode(made) if isinstance(made, ResultObject) else made
    except (InvalidDicomError, EOFError, ValueError) as error:
        return [Violation("encoding", f"cannot be read back: {type(error).__name__}")]
    return [Violation(name, text) for name, rule in RULES.items() for text in _run(rule, dataset, known)]


def decode(made: ResultObject) -> Dataset:
    """The dataset of an object, as a receiver reads it."""
    return dcmread(BytesIO(made.encoded))


def _run(rule: Rule, dataset: Dataset, known: Known) -> list[str]:
    # A rule that cannot even be evaluated counts as broken.
    try:
        return list(rule(dataset, known))
    except Exception as error:
        return [f"cannot be checked: {type(error).__name__}"]
