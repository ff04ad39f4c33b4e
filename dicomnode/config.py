"""Settings: one typed tree from dicomnode.toml and DICOMNODE_… environment variables.

A variable is named after its section and field: `[node] port` is DICOMNODE_NODE_PORT. Lists and tables are JSON:
DICOMNODE_ACCESS_CALLING_AE_TITLES='["PACS"]', DICOMNODE_DESTINATIONS='[{"name": "pacs", …}]'.
The environment wins over the file, the file over the defaults. A wrong value raises ConfigurationError with one line
that names the field and where it came from.
"""

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dicomnode.errors import ConfigurationError

PREFIX = "DICOMNODE_"
DEFAULT_FILE = "dicomnode.toml"

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[^\\\x00-\x1f]*[^\\\x00-\x20][^\\\x00-\x1f]*$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]
MapName = Literal["sam", "grad-cam", "hirescam", "cam", "saliency", "guided-backprop", "guided-grad-cam"]


class Section(BaseModel):
    """Settings are frozen, and an unknown field is an error: a misspelt setting must not be silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Node(Section):
    """Who the node is and where it listens."""

    ae_title: AeTitle = "DICOMNODE"
    """Application Entity title of the node."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all. The default reaches this machine only: open it together with [access]."""
    port: Port = 11112
    """TCP port for DICOM."""
    receivers: Annotated[int, Field(ge=1, le=32)] = 2
    """Receiver processes that share the port."""
    tls_port: Port | None = None
    """TCP port for DICOM over TLS; none: no TLS listener. Needs [tls]."""


class Receive(Section):
    """What is taken, and the limits of an association."""

    streaming: bool = True
    """Write instances to disk while they arrive. False: the library's own way, slower, same results."""
    other_objects: Literal["accept", "refuse"] = "accept"
    """Objects that are never judged (not CT, localizers): accept and set aside, or refuse with 0x0122 / 0xC000."""
    max_associations: Positive = 64
    """Associations at a time in one receiver process."""
    max_associations_per_peer: Positive = 32
    """Associations at a time from one address in one receiver process."""
    max_pdu_bytes: Annotated[int, Field(ge=4096, le=1_048_576)] = 131_072
    """Longest PDU that is read, in bytes."""
    max_instance_bytes: Positive = 2_147_483_648
    """Longest instance that is taken, in bytes."""
    idle_seconds: Seconds = 60.0
    """An association that is silent for so long is aborted."""
    association_seconds: Seconds = 14_400.0
    """An association that lasts so long is aborted."""


class Access(Section):
    """Who gets in. Once a list is set, everybody not on it is refused."""

    check_called_ae_title: bool = False
    """Refuse associations that call the node by another AE title."""
    calling_ae_titles: tuple[AeTitle, ...] = ()
    """AE titles that may open an association; empty: all."""
    networks: tuple[str, ...] = ()
    """Networks that may open an association, such as 10.1.0.0/16; empty: all."""

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks


class Tls(Section):
    """Keys for DICOM over TLS, PEM files."""

    certificate: Path | None = None
    """Certificate chain of the node."""
    key: Path | None = None
    """Private key of the node."""
    authorities: Path | None = None
    """Certificates of the authorities that peers are checked against."""
    require_peer_certificate: bool = True
    """Refuse peers that show no certificate."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        return self


class Storage(Section):
    """Where things lie."""

    folder: Path = Path("var")
    """Spool, results and the SQLite job log lie below this folder."""
    database_url: str | None = None
    """URL of the job log, such as postgresql+psycopg://node:secret@server/node; none: SQLite in `folder`."""
    reserve_bytes: Annotated[int, Field(ge=0)] = 1_000_000_000
    """Free space that stays free: below it new associations are rejected as transient."""
    keep_days: Annotated[float, Field(gt=0)] | None = None
    """Files of series that are finished and delivered are removed after so many days; none: never."""

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the job log."""
        return self.database_url or f"sqlite:///{(self.folder / 'dicomnode.sqlite').absolute()}"


class Assemble(Section):
    """When a series counts as complete."""

    quiet_seconds: Seconds = 15.0
    """A series is closed when nothing came for so long and no association that touched it is open."""
    patience_seconds: Seconds = 900.0
    """A quiet series is closed after so long even though an association that touched it is still open."""
    query_destination: str | None = None
    """Name of the destination that is asked how many instances the series has (C-FIND); none: nobody is asked."""


class Analyse(Section):
    """The judgement."""

    bundle: Path | None = None
    """Folder of the phase model; none: the one that is shipped."""
    generator: Path | None = None
    """Folder of the generator for `results.counterfactual`; none: the one that is shipped, for the shipped model."""
    organs: bool = True
    """Find the organs as well: their HU are shown, and withhold the answer where they contradict it."""
    organ_bundle: Path | None = None
    """Folder of the organ model; none: the one that is shipped."""
    device: str = "cpu"
    """"cpu", "cuda" or "auto"; falls back to cpu when the device fails."""
    attempts: Positive = 3
    """A job is tried so often before it is FAILED."""
    time_limit_seconds: Seconds = 900.0
    """A worker that sits longer on one job is stopped; it costs the job one attempt."""
    minimum_slices: Positive = 8
    """A part with fewer slices is declined."""
    minimum_coverage_mm: Annotated[float, Field(ge=0)] = 30.0
    """A part that covers less of the patient is declined."""
    lease_seconds: Seconds = 60.0
    """A worker that is silent for so long has lost its job."""
    memory_limit_bytes: Positive | None = None
    """Address space of the worker; none: no limit of the node's own."""


class Results(Section):
    """What comes back."""

    key_slices: Annotated[int, Field(ge=1, le=50)] = 3
    """Slices that are shown with their maps."""
    maps: tuple[MapName, ...] = ("sam", "grad-cam")
    """Explanation maps on the key slices."""
    whole_stack: bool = False
    """Overlay on every slice instead of the key slices; hundreds of megabytes a series, see docs/viewers.md."""
    capture: Literal["single-frame", "multi-frame"] = "single-frame"
    """Kind of Secondary Capture."""
    sr_class: Literal["comprehensive", "comprehensive 3d"] = "comprehensive"
    """SOP class of the Structured Report."""
    language: Literal["en", "de"] = "en"
    """Language of reports and pictures."""
    parametric_map: bool = False
    """Send the raw maps as Parametric Map objects as well."""
    segmentation: bool = False
    """Send the organs as a Segmentation as well; needs analyse.organs. The report then refers to its segments."""
    segmentation_kind: Literal["binary", "label map"] = "binary"
    """Segmentation Storage, which viewers read, or Label Map Segmentation Storage, for archives that take it."""
    key_object_selection: bool = False
    """Send a Key Object Selection of the key slices as well."""
    presentation_state: bool = False
    """Send a presentation state of the key slices as well."""
    pdf: bool = False
    """Send the summary page as an encapsulated PDF as well."""
    counterfactual: bool = False
    """Send a cine of synthetic images that show what would have to change for the model to answer otherwise."""
    declined_report: bool = False
    """Send a Structured Report that says why a series could not be judged."""


class Deliver(Section):
    """How results travel."""

    first_pause_seconds: Seconds = 5.0
    """Pause after the first failed attempt; doubles with each further one."""
    longest_pause_seconds: Seconds = 3_600.0
    """Longest pause between attempts."""
    commitment_seconds: Seconds = 600.0
    """Storage commitment is asked for again after so long without an answer."""


class Destination(Section):
    """One archive that results go to."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9_-]+$")]
    """What the job log calls it."""
    kind: Literal["dicom", "stow-rs"] = "dicom"
    """C-STORE, or STOW-RS over HTTP."""
    ae_title: AeTitle = "PACS"
    """AE title of the archive."""
    host: str = "127.0.0.1"
    """Address of the archive."""
    port: Port = 104
    """DICOM port of the archive."""
    url: str | None = None
    """Root of the DICOMweb service; needed for stow-rs."""
    tls: bool = False
    """Speak TLS, with the keys of [tls]."""
    verify_host: bool = True
    """The archive's certificate must name its host."""
    headers: dict[str, str] = {}
    """HTTP headers of each stow-rs request, such as Authorization."""
    timeout_seconds: Seconds = 30.0
    """Longest wait for an answer of the archive."""
    commitment: bool = False
    """Ask the archive for storage commitment of every result."""
    verify: bool = False
    """Read results back by C-FIND or QIDO-RS, for archives without storage commitment."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "stow-rs" and not self.url:
            raise ValueError("url is needed for stow-rs")
        return self


class Web(Section):
    """The pages for administrators."""

    enabled: bool = True
    """Serve the pages."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8080
    """TCP port for HTTP."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names, besides this machine's own, by which a browser may ask for the pages; "*" for any."""


class Log(Section):
    """What is written to standard error. Patient data appear at debug level only."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written."""


class Settings(Section):
    """Everything that can be set."""

    node: Node = Node()
    receive: Receive = Receive()
    access: Access = Access()
    tls: Tls = Tls()
    storage: Storage = Storage()
    assemble: Assemble = Assemble()
    analyse: Analyse = Analyse()
    results: Results = Results()
    deliver: Deliver = Deliver()
    web: Web = Web()
    log: Log = Log()
    destinations: tuple[Destination, ...] = ()

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        names = [destination.name for destination in self.destinations]
        if len(set(names)) != len(names):
            raise ValueError("destinations: two have the same name")
        asked = self.assemble.query_destination
        if asked is not None and asked not in names:
            raise ValueError(f"assemble.query_destination: there is no destination named {asked!r}")
        if self.node.tls_port is not None and self.tls.certificate is None:
            raise ValueError("node.tls_port: tls.certificate and tls.key are needed")
        if self.node.tls_port is not None and self.tls.require_peer_certificate and self.tls.authorities is None:
            raise ValueError("tls.authorities: needed while tls.require_peer_certificate is set")
        return self

    def without_counterfactual(self) -> Self:
        """The same, with no counterfactual made while judging."""
        return self.model_copy(update={"results": self.results.model_copy(update={"counterfactual": False})})

    def destination(self, name: str) -> Destination:
        """The destination of that name. Raises KeyError."""
        return {destination.name: destination for destination in self.destinations}[name]


def load(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The effective settings. `file` None means dicomnode.toml in the working folder, if it is there.

    Raises ConfigurationError with one line that names the field and its source.
    """
    return load_with_sources(file, environment)[0]


def load_with_sources(
    file: Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Settings, dict[str, str]]:
    """The effective settings, and for each field that is not at its default ("node.port") where it came from."""
    environment = os.environ if environment is None else environment
    tree, sources = _from_file(file)
    _add_environment(tree, sources, environment)
    try:
        return Settings.model_validate(tree), sources
    except ValidationError as error:
        raise ConfigurationError(_one_line(error, sources)) from None


def _from_file(file: Path | None) -> tuple[dict[str, Any], dict[str, str]]:
    path = file or Path(DEFAULT_FILE)
    if file is None and not path.exists():
        return {}, {}
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML ({error})") from None
    return tree, {name: str(path) for name in _leaves(tree)}


def _leaves(tree: Mapping[str, Any]) -> list[str]:
    names = []
    for section, value in tree.items():
        names += [f"{section}.{field}" for field in value] if isinstance(value, dict) else [section]
    return names


def _add_environment(tree: dict[str, Any], sources: dict[str, str], environment: Mapping[str, str]) -> None:
    for variable in sorted(environment):
        if not variable.startswith(PREFIX):
            continue
        section, _, field = variable.removeprefix(PREFIX).lower().partition("_")
        if section == "destinations" and not field:
            tree[section] = _value(environment[variable])
            sources[section] = variable
        elif section in Settings.model_fields and field in _fields(section):
            tree.setdefault(section, {})[field] = _value(environment[variable])
            sources[f"{section}.{field}"] = variable
        else:
            raise ConfigurationError(f"{variable}: there is no such setting")


def _fields(section: str) -> set[str]:
    kind = Settings.model_fields[section].annotation
    return set(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else set()


def _value(text: str) -> Any:
    if text[:1] in ("[", "{") or text == "null":
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _one_line(error: ValidationError, sources: Mapping[str, str]) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    source = next((sources[known] for known in sources if name == known or name.startswith(f"{known}.")), None)
    message = first["msg"].removeprefix("Value error, ")
    given = "" if isinstance(first.get("input"), (dict, BaseModel)) else f", not {first.get('input')!r}"
    return f"{name}: {message}{given}" + (f" (from {source})" if source else "") if name else message


def effective(settings: Settings, sources: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(field, value as TOML, source) of every setting, in order; passwords in URLs are hidden."""
    rows = []
    for section, model in settings:
        if section == "destinations":
            value = [d.model_dump(mode="json", exclude_defaults=True) for d in settings.destinations]
            rows.append((section, _shown(value), sources.get(section, "default")))
            continue
        for field, value in model.model_dump(mode="json").items():
            name = f"{section}.{field}"
            rows.append((name, _shown(value), sources.get(name, "default")))
    return rows


def _shown(value: Any) -> str:
    return re.sub(r"(://[^:/@\s\"]*:)[^\"]*@", r"\1***@", json.dumps(value, ensure_ascii=False))
