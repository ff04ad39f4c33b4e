"""`dicomnode demo` shows the whole way, and leaves what it made where it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.xdist_group("node"), pytest.mark.timeout(600), pytest.mark.slow]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the demonstration printed, and where everything lies."""
    out = tmp_path_factory.mktemp("demo") / "out"
    command = [sys.executable, "-m", "dicomnode", "demo", "--out", str(out)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=out.parent)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout, out


def test_each_phase_of_the_phantom_is_answered(shown: tuple[str, Path]) -> None:
    """Three series, three jobs, each with its probabilities, and every object accepted and committed."""
    printed, _ = shown
    assert len(re.findall(r"^job \d+  BUILT", printed, re.M)) == 3
    for phase in ("UNENHANCED", "ARTERIAL", "PORTAL VENOUS"):
        assert re.search(rf"^\s+{phase}  \d+ %$", printed, re.M), printed
    assert "COMMITTED 0x0000" in printed
    assert "PENDING" not in printed


def test_pictures_and_objects_lie_where_it_says(shown: tuple[str, Path]) -> None:
    """Each path that is printed is there, and one of them is a picture."""
    printed, out = shown
    paths = [Path(found) for found in re.findall(rf"({re.escape(str(out))}\S+)", printed)]
    assert paths
    assert all(path.exists() for path in paths)
    assert any(path.suffix == ".png" for path in paths)


def test_it_says_that_the_input_is_synthetic(shown: tuple[str, Path]) -> None:
    """Nobody takes a phantom for a patient."""
    assert "synthetic" in shown[0]
    assert "Not for diagnostic use" in shown[0]
