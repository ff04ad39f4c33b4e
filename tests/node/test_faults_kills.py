"""Any process of the node is killed at any moment: nothing that was acknowledged is lost, nothing is done twice."""

from pathlib import Path

import pytest

from tests.node.kills import DATABASE_SERVER, TARGETS, bombard
from tests.postgresql import Server

pytestmark = [pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]


def test_nothing_acknowledged_is_lost_by_two_hundred_kills(tmp_path: Path) -> None:
    """Every acknowledged instance is there byte for byte, every generation ends once, the archive has each result."""
    tally = bombard(tmp_path, kills=200, seed=20260301)
    print(tally)
    assert not tally.damage
    assert set(tally.kills) == set(TARGETS)
    assert tally.kills.total() >= 200
    assert tally.series >= 20


def test_nothing_is_lost_by_kills_with_the_job_log_in_postgresql(tmp_path: Path, postgresql_server: Server) -> None:
    """The same promises, and the server is among what is killed."""
    tally = bombard(tmp_path, kills=60, seed=20261129, server=postgresql_server)
    print(tally)
    assert not tally.damage
    assert tally.kills[DATABASE_SERVER] >= 1
    assert tally.kills.total() >= 60
