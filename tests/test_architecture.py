"""The architecture, in the file that enforces it: a spine and two leaves.

    dicomnode  knows  inference and storage; they know neither it nor each other.
    Inside dicomnode, network, series and results do not know each other; only node knows network.
    Each foreign library has one home.

Everything is read from the syntax trees, lazy imports included.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("dicomnode", "inference", "storage")

MAY_IMPORT = {
    "dicomnode.errors": {"dicomnode.errors", "inference.errors"},
    "dicomnode.identity": {"dicomnode.identity"},
    "dicomnode.config": {"dicomnode.config", "dicomnode.errors"},
    "dicomnode.network": {"dicomnode.network", "dicomnode.errors", "dicomnode.identity"},
    "dicomnode.series": {"dicomnode.series", "dicomnode.errors", "dicomnode.identity", "inference"},
    "dicomnode.results": {"dicomnode.results", "dicomnode.errors", "dicomnode.identity", "inference"},
    "dicomnode.web": {"dicomnode.web", "dicomnode.errors", "storage"},
    "dicomnode.reception": {"dicomnode.reception", "dicomnode.errors", "dicomnode.series", "storage"},
    "dicomnode.reconciliation": {
        "dicomnode.reconciliation",
        "dicomnode.reception",
        "dicomnode.errors",
        "dicomnode.series",
        "storage",
    },
    "dicomnode.pipeline": {
        "dicomnode.pipeline",
        "dicomnode.reception",
        "dicomnode.errors",
        "dicomnode.series",
        "dicomnode.results",
        "inference",
        "storage",
    },
    "dicomnode": {"dicomnode", "inference", "storage"},
    "inference": {"inference"},
    "storage": {"storage"},
}
"""Package or module -> what of our own it may import; the longest name that fits an importer rules."""

HOME = {
    "pynetdicom": ("dicomnode.network",),
    "pydicom": ("dicomnode.network", "dicomnode.series", "dicomnode.results"),
    "highdicom": ("dicomnode.results",),
    "dicomweb_client": ("dicomnode.network",),
    "torch": ("inference",),
    "safetensors": ("inference",),
    "scipy": ("inference", "dicomnode.results"),
    "matplotlib": ("inference",),
    "sqlalchemy": ("storage",),
    "alembic": ("storage",),
    "starlette": ("dicomnode.web",),
    "uvicorn": ("dicomnode.web",),
    "jinja2": ("dicomnode.web",),
    "pydantic": ("dicomnode.config",),
}
"""Library -> the packages it lives in."""

KNOWS_NETWORK = {"dicomnode.intake", "dicomnode.listening", "dicomnode.destinations", "dicomnode.demo"}
"""Where node.py gets what comes in and what goes out, and the demonstration, which brings an archive of its own."""


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.Module) -> Iterator[str]:
    """Absolute names of all that a module imports, wherever in it; "package.name" for `from package import name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _within(name: str, packages: "set[str] | tuple[str, ...]") -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _rule(importer: str) -> set[str]:
    fitting = [name for name in MAY_IMPORT if _within(importer, {name})]
    return MAY_IMPORT[max(fitting, key=len)]


MODULES = list(_modules())


@pytest.mark.parametrize(("module", "tree"), MODULES, ids=[name for name, _ in MODULES])
def test_a_module_imports_only_what_its_place_allows(module: str, tree: ast.Module) -> None:
    """Our own packages, by the table MAY_IMPORT."""
    for imported in _imports(tree):
        if imported.split(".")[0] in PACKAGES:
            assert _within(imported, _rule(module)), f"{module} imports {imported}"


@pytest.mark.parametrize(("module", "tree"), MODULES, ids=[name for name, _ in MODULES])
def test_each_library_has_one_home(module: str, tree: ast.Module) -> None:
    """Foreign libraries, by the table HOME."""
    for imported in _imports(tree):
        home = HOME.get(imported.split(".")[0])
        assert home is None or _within(module, home), f"{module} imports {imported}"


def test_only_the_composition_root_knows_the_network() -> None:
    """Sockets are handed in everywhere else."""
    for module, tree in MODULES:
        if _within(module, {"dicomnode.network"}) or module in KNOWS_NETWORK:
            continue
        assert not any(_within(name, {"dicomnode.network"}) for name in _imports(tree)), module


def test_training_is_never_imported_by_the_running_node() -> None:
    """inference.training is for `dicomnode train` and `evaluate` alone."""
    allowed = {"dicomnode.cli", "dicomnode.training"}
    for module, tree in MODULES:
        if _within(module, {"inference.training"}) or module in allowed:
            continue
        assert not any(_within(name, {"inference.training"}) for name in _imports(tree)), module


def test_no_module_is_called_after_nothing() -> None:
    """A module is named after what it is about."""
    for module, _ in MODULES:
        assert not {"utils", "util", "common", "helpers", "core", "misc"} & set(module.split("."))
