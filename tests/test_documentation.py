"""What is written about the program is tested against the program."""

import argparse
import re
from pathlib import Path

import pytest

from dicomnode.cli import parser
from dicomnode.config import Settings, load

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _commands() -> set[str]:
    (choices,) = [a.choices for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return set(choices)


def test_readme_names_every_command() -> None:
    """Nothing that can be typed is a secret."""
    for command in _commands():
        assert re.search(rf"`(dicomnode )?{command}\b|`dicomnode {command}", README), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_pages_exist(page: Path) -> None:
    """What a page tells to type can be typed."""
    for command in re.findall(r"dicomnode ([a-z]+)\b(?! \w+ is)", _code(page)):
        assert command in _commands(), command


def _code(page: Path) -> str:
    """Indented and fenced blocks and inline code."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^(?: {4}|\t)(.*)$", text, re.M) + re.findall(r"`([^`]+)`", text)
    return "\n".join(blocks)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Pictures and pages that are linked are there."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_in_the_pages_exist(page: Path) -> None:
    """A setting that a page names as `section.field` is one."""
    sections = {name: type(getattr(Settings(), name)) for name in Settings.model_fields if name != "destinations"}
    for section, field in re.findall(r"`\[?([a-z]+)\]?[. ]([a-z_]+)`", page.read_text(encoding="utf-8")):
        if section in sections:
            assert field in sections[section].model_fields, f"{section}.{field}"


def test_the_settings_in_the_readme_are_valid(tmp_path: Path) -> None:
    """The example can be copied as it is."""
    lines = [line[4:] for line in README.splitlines() if line.startswith("    ")]
    start = next(number for number, line in enumerate(lines) if line.startswith("[node]"))
    example = "\n".join(line for line in lines[start:] if not line.startswith((".venv", "make")))
    file = tmp_path / "dicomnode.toml"
    file.write_text(example)
    assert load(file, {}).destination("pacs").commitment


def test_every_page_says_what_it_is_not_for() -> None:
    """Not for diagnostic use."""
    assert "not for diagnostic use" in README.lower()


def test_nothing_names_a_machine_or_a_registry() -> None:
    """The project speaks of itself alone."""
    words = ("/work/", "/tmp/", "pypi" + ".org", "files.pythonhosted", "registry.npmjs", "deb.debian")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not [word for word in words if word in text], page


def test_the_conformance_statement_names_what_the_listener_takes() -> None:
    """Every transfer syntax and CT class that is accepted, and none that is not."""
    from dicomnode.identity import CT_CLASSES
    from dicomnode.network.contexts import TRANSFER_SYNTAXES

    text = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    named = set(re.findall(r"1\.2\.840\.10008[.0-9]*[0-9]", text))
    taken = {"1.2.840.10008.1.1", "1.2.840.10008.1.20.1", *CT_CLASSES, *(syntax.uid for syntax in TRANSFER_SYNTAXES)}
    assert named == taken
