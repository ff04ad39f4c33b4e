"""Values of a dataset, read tolerantly: what a device wrote wrongly is absent, never an exception.

pydicom raises ValueError, TypeError, OverflowError, AttributeError and more on the first access of a malformed
value; this is the one place that knows.
"""

import math
import re
from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset

_TIME = re.compile(r"(\d\d):?(\d\d)?:?(\d\d(?:\.\d+)?)?")


def value(dataset: Dataset, keyword: str) -> Any:
    """The attribute's value, or None where it is absent, empty or malformed."""
    try:
        found = dataset.get(keyword)
        return None if found is None or found == "" else found
    except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError, NotImplementedError, RecursionError):
        return None


def text(dataset: Dataset, keyword: str) -> str:
    """The attribute as one stripped string; several values joined by a backslash."""
    found = value(dataset, keyword)
    if found is None:
        return ""
    return "\\".join(texts(dataset, keyword))


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Each value of the attribute as a stripped string."""
    found = value(dataset, keyword)
    if found is None:
        return ()
    values = found if isinstance(found, Iterable) and not isinstance(found, (str, bytes)) else [found]
    return tuple(str(part).strip("\0 ") for part in values)


def number(dataset: Dataset, keyword: str) -> float | None:
    """The attribute's first value as a finite number."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """All values as finite numbers; () unless every one is."""
    try:
        values = tuple(float(part) for part in texts(dataset, keyword))
    except ValueError:
        return ()
    return values if all(math.isfinite(part) for part in values) else ()


def integer(dataset: Dataset, keyword: str) -> int | None:
    found = number(dataset, keyword)
    return None if found is None or abs(found) > 1e15 else int(found)


def item(dataset: Dataset, keyword: str) -> Dataset:
    """The first item of a sequence; an empty dataset where there is none."""
    found = value(dataset, keyword)
    try:
        return found[0] if isinstance(found[0], Dataset) else Dataset()
    except (TypeError, LookupError, ValueError):
        return Dataset()


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """All items of a sequence."""
    found = value(dataset, keyword)
    if found is None or isinstance(found, (str, bytes)) or not isinstance(found, Iterable):
        return []
    return [entry for entry in found if isinstance(entry, Dataset)]


def seconds(dataset: Dataset, *keywords: str) -> float | None:
    """Seconds since midnight of the first of these TM or DT attributes that has a time."""
    for keyword in keywords:
        found = text(dataset, keyword)
        if keyword.endswith("DateTime"):
            found = found[8:]
        match = _TIME.match(found)
        if match:
            hours, minutes, rest = match.groups()
            return 3600.0 * int(hours) + 60.0 * int(minutes or 0) + float(rest or 0)
    return None
