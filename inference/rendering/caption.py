"""Caption: what a picture says of the series and of the moment, none of it about the patient."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Caption:
    """Handed in by the caller: this package knows neither the clock nor the header.

    Raises ValueError when `made_at` has no time zone, or the language has no words here.
    """

    series_number: str
    """Of the source series; "" where there is none."""
    series_description: str
    """Of the source series; shortened where it does not fit."""
    made_at: datetime
    """When the result was made; aware, printed as handed in."""
    language: str = "en"
    """A key of inference.rendering.wording.WORDS."""

    def __post_init__(self) -> None:
        from inference.rendering.wording import WORDS

        if self.made_at.tzinfo is None:
            raise ValueError("made_at has no time zone")
        if self.language not in WORDS:
            raise ValueError(f"no words in {self.language!r}; there are {sorted(WORDS)}")
