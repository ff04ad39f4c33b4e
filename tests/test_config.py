"""Settings come from a file and the environment, and a wrong one is named in one line."""

import re
from pathlib import Path

import pytest

from dicomnode.config import Settings, effective, load, load_with_sources
from dicomnode.errors import ConfigurationError


def test_defaults_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file the node is DICOMNODE on port 11112 and keeps its things below ./var."""
    monkeypatch.chdir(tmp_path)
    settings = load(environment={})
    assert (settings.node.ae_title, settings.node.port, settings.storage.folder) == ("DICOMNODE", 11112, Path("var"))


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """Each value says where it came from, and the environment has the last word."""
    file = tmp_path / "dicomnode.toml"
    file.write_text('[node]\nport = 4242\nae_title = "AI"\n')
    settings, sources = load_with_sources(file, {"DICOMNODE_NODE_PORT": "11113"})
    assert (settings.node.port, settings.node.ae_title) == (11113, "AI")
    assert sources == {"node.port": "DICOMNODE_NODE_PORT", "node.ae_title": str(file)}


def test_lists_and_destinations_come_from_the_environment_as_json() -> None:
    """Everything is settable by environment, destinations included."""
    settings = load(
        environment={
            "DICOMNODE_ACCESS_CALLING_AE_TITLES": '["PACS", "CT1"]',
            "DICOMNODE_DESTINATIONS": '[{"name": "pacs", "host": "10.0.0.1", "port": 104}]',
        }
    )
    assert settings.access.calling_ae_titles == ("PACS", "CT1")
    assert settings.destination("pacs").host == "10.0.0.1"


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"DICOMNODE_NODE_PORT": "99999"}, "node.port"),
        ({"DICOMNODE_NODE_AE_TITLE": "FAR TOO LONG A TITLE"}, "node.ae_title"),
        ({"DICOMNODE_NODE_PROT": "1"}, "DICOMNODE_NODE_PROT"),
        ({"DICOMNODE_ACCESS_NETWORKS": '["10.0.0.0/99"]'}, "access.networks"),
        ({"DICOMNODE_ASSEMBLE_QUERY_DESTINATION": "nowhere"}, "assemble.query_destination"),
        ({"DICOMNODE_DESTINATIONS": '[{"name": "p", "kind": "stow-rs"}]'}, "destinations"),
        ({"DICOMNODE_ASSEMBLE_QUIET_SECONDS": "soon"}, "assemble.quiet_seconds"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(environment: dict[str, str], named: str) -> None:
    """The message names the field (or the variable) and has one line."""
    with pytest.raises(ConfigurationError) as caught:
        load(environment=environment)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_field_in_the_file_is_an_error(tmp_path: Path) -> None:
    """A misspelt setting is not silently ignored."""
    file = tmp_path / "dicomnode.toml"
    file.write_text("[assemble]\nquiet_second = 3\n")
    with pytest.raises(ConfigurationError, match=re.escape("assemble.quiet_second")):
        load(file, {})


def test_every_field_has_a_docstring_and_is_listed() -> None:
    """`dicomnode config` prints every field, and every field says what it is."""
    listed = {name for name, _, _ in effective(Settings(), {})}
    for section, model in Settings():
        if section == "destinations":
            continue
        for name, field in type(model).model_fields.items():
            assert field.description, f"{section}.{name}"
            assert f"{section}.{name}" in listed


def test_passwords_are_not_printed() -> None:
    """`dicomnode config` is what people paste into a mail."""
    url = "postgresql+psycopg://node:s3/cr@t@server/node"
    place = {"name": "PACS", "kind": "stow-rs", "url": "https://node:s3cret@server/dicom-web"}
    settings = Settings.model_validate({"storage": {"database_url": url}, "destinations": [place]})
    printed = {name: value for name, value, _ in effective(settings, {})}
    assert printed["storage.database_url"] == '"postgresql+psycopg://node:***@server/node"'
    assert "https://node:***@server/dicom-web" in printed["destinations"]
