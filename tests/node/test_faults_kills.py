"""Any process of the node is killed at any moment: nothing that was acknowledged is lost, nothing is done twice."""

from pathlib import Path

import pytest

from tests.node.kills import TARGETS, bombard

pytestmark = [pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]


def test_nothing_acknowledged_is_lost_by_two_hundred_kills(tmp_path: Path) -> None:
    """Every acknowledged instance is there byte for byte, every generation ends once, the archive has each result."""
    tally = bombard(tmp_path, kills=200, seed=20260301)
    print(tally)
    assert not tally.damage
    assert set(tally.kills) == set(TARGETS)
    assert tally.kills.total() >= 200
    assert tally.series >= 20
