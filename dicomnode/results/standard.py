"""The tables of PS3.3 that highdicom's wheel carries, read without importing highdicom.

The tables are plain JSON, and reading a report or checking an object must not cost the import of a writer's library.
`iod_module_map` names the modules of an IOD with their usage (M, C, U), `module_attribute_map` the attributes of
a module with type and path.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast


@dataclass(frozen=True)
class Attribute:
    """One row of a module table."""

    keyword: str
    type: str
    """ "1", "1C", "2", "2C" or "3"."""
    path: tuple[str, ...]
    """Keywords of the sequences it lies in, outermost first; empty at the root."""


@lru_cache(maxsize=3)
def _table(name: str) -> dict[str, Any]:
    spec = find_spec("highdicom")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("highdicom, whose tables of PS3.3 are needed, is not installed")
    text = (Path(spec.submodule_search_locations[0]) / "_standard" / f"{name}.json").read_text(encoding="utf-8")
    return cast(dict[str, Any], json.loads(text))


def modules(sop_class_uid: str) -> tuple[tuple[str, str], ...]:
    """(module, usage) of the IOD of a SOP class, PS3.3 annex A. Raises KeyError for a SOP class not in the tables."""
    iod = _table("sop_class_iod_map")[sop_class_uid]
    return tuple((row["key"], row["usage"]) for row in _table("iod_module_map")[iod])


@lru_cache(maxsize=256)
def attributes(module: str) -> tuple[Attribute, ...]:
    """The rows of a module's table, PS3.3 annex C."""
    rows = _table("module_attribute_map")[module]
    return tuple(Attribute(row["keyword"], row["type"], tuple(row["path"])) for row in rows)


def at_path(module: str, path: tuple[str, ...]) -> Iterator[Attribute]:
    """The rows of a module that lie directly in the sequence at `path`."""
    return (attribute for attribute in attributes(module) if attribute.path == path)
