"""Sentences for people in another language: reasons are made in English where they arise, and translated where shown.

A phrasebook is one table: English template -> its translation. A template holds fields, each with its kind:

    "The enhancement lies between {one:phase} and {other:phase}."

A text is read as sentence after sentence; one that stands in no table stays as it is, for a reason in the wrong
language is better than none. A test walks the code and fails where a sentence has no translation.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from string import Formatter

Say = Callable[[str], str]
"""How what a field holds is said in the other language."""


@dataclass(frozen=True)
class Kind:
    """One kind of field."""

    pattern: str
    """Regular expression of what it holds, without groups."""
    say: Say


@dataclass(frozen=True)
class Phrasebook:
    """The sentences of one language. Raises KeyError when a template names a kind that is not there."""

    sentences: Mapping[str, str]
    """English template -> translation, which names the same fields without their kinds."""
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    def say(self, text: str) -> str:
        """The text with every sentence that is known translated; a book without sentences changes nothing."""
        if not self.sentences:
            return text
        return " ".join(self._known(sentence) or sentence for sentence in self._apart(text))

    def unknown(self, text: str) -> list[str]:
        """The sentences of a text that have no translation."""
        return [sentence for sentence in self._apart(text) if self._known(sentence) is None]

    def extended(self, sentences: Mapping[str, str], kinds: Mapping[str, Kind]) -> "Phrasebook":
        """A book with further sentences."""
        return Phrasebook({**self.sentences, **sentences}, {**self.kinds, **kinds})

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str, dict[str, Say]]]:
        return [self._compiled(template, said) for template, said in self.sentences.items()]

    def _compiled(self, template: str, said: str) -> tuple[re.Pattern[str], str, dict[str, Say]]:
        pattern, fields = "", dict[str, Say]()
        for literal, name, kind, _ in Formatter().parse(template):
            pattern += re.escape(literal)
            if name is not None and kind is not None:
                pattern += f"(?P<{name}>{self.kinds[kind].pattern})"
                fields[name] = self.kinds[kind].say
        return re.compile(rf"{pattern}(?=\s|$)"), said, fields

    def _apart(self, text: str) -> list[str]:
        """The sentences of a text: a known one as far as it reaches, an unknown one as far as its full stop."""
        found, rest = [], text
        while rest:
            ends = [match.end() for pattern, _, _ in self._patterns if (match := pattern.match(rest))]
            stop = re.search(r"\.(?=\s|$)|$", rest)
            end = max(ends, default=stop.end() if stop else len(rest))
            found.append(rest[:end])
            rest = rest[end:].lstrip()
        return found

    def _known(self, sentence: str) -> str | None:
        for pattern, said, fields in self._patterns:
            match = pattern.fullmatch(sentence)
            if match is not None:
                return said.format(**{name: say(match[name]) for name, say in fields.items()})
        return None


def verbatim(text: str) -> str:
    """What is a name or a code in every language."""
    return text


def percent(probability: float) -> int:
    """A whole percentage for people, that never claims certainty: 99 at most, 0 only below a half percent."""
    return min(99, round(100 * probability))
