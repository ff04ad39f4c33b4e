"""What a request asks for: the filters of a list, out of a query string."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from urllib.parse import urlencode

from storage.joblog import JobFilter
from storage.states import JobState

PAGE = 50
MOST = 500
TEXTS = ("phase", "patient_id", "accession_number", "study_uid", "series_uid")
FIELDS = ("state", *TEXTS, "since", "until")


class BadQuestion(ValueError):
    """A filter has a value that it cannot have; the message names it."""


@dataclass(frozen=True)
class Asked:
    """A page of a list."""

    wanted: JobFilter
    limit: int
    before_id: int | None
    given: Mapping[str, str]
    """The filters as they were written, without empty ones."""

    def older(self, last_id: int, path: str) -> str:
        """The address of the page after one that ends with `last_id`."""
        more = {"limit": str(self.limit)} if self.limit != PAGE else {}
        return f"{path}?{urlencode({**self.given, **more, 'before': str(last_id)})}"


def read(query: Mapping[str, str], zone: tzinfo | None) -> Asked:
    """The page that a query string asks for. Raises BadQuestion."""
    given = {name: query[name].strip() for name in FIELDS if query.get(name, "").strip()}
    wanted = JobFilter(
        state=_state(given.get("state")),
        since=_moment("since", given.get("since"), zone),
        until=_moment("until", given.get("until"), zone, days=1),
        **{name: given.get(name) for name in TEXTS},
    )
    limit = _number("limit", query.get("limit")) or PAGE
    return Asked(wanted, min(limit, MOST), _number("before", query.get("before")), given)


def _state(text: str | None) -> JobState | None:
    if text is None:
        return None
    try:
        return JobState(text.upper())
    except ValueError:
        raise BadQuestion(f"state: {text!r} is none of {', '.join(JobState)}") from None


def _moment(name: str, text: str | None, zone: tzinfo | None, days: int = 0) -> datetime | None:
    """A day (its beginning, or with `days` its end) or a moment; without a zone of its own it is the pages' zone."""
    if text is None:
        return None
    try:
        if len(text) == len("2026-03-01"):
            day = date.fromisoformat(text) + timedelta(days=days)
            return _aware(datetime(day.year, day.month, day.day), zone)
        return _aware(datetime.fromisoformat(text), zone)
    except (ValueError, OverflowError):
        raise BadQuestion(f"{name}: {text!r} is no date such as 2026-03-01") from None


def _aware(moment: datetime, zone: tzinfo | None) -> datetime:
    if moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=zone) if zone else moment.astimezone()


def _number(name: str, text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 19):
        raise BadQuestion(f"{name}: {text[:20]!r} is no number")
    return int(text)
