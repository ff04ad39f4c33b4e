"""docs/explain.md says what the program does."""

import re
from pathlib import Path

import pytest
import torch
from explained_networks import images
from torch import nn

from inference.explain import METHODS, SAM_KINDS
from inference.explain.mapset import SCALE_PERCENTILE
from inference.explain.scores import HIGHEST_RHO, is_poor
from inference.explain.series import FACTS_FILE, MAPS_FILE, SHEET_FILE
from inference.networks.classifier import PhaseClassifier

TEXT = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_run(number: int) -> None:
    """With a network and slices at hand, each example works as it is printed."""
    torch.manual_seed(0)
    segmenter = nn.Sequential()
    segmenter.add_module("first", nn.Conv2d(3, 4, 3, padding=1))
    segmenter.add_module("relu", nn.ReLU())
    segmenter.add_module("mask", nn.Conv2d(4, 1, 1))
    known = {
        "segmenter": segmenter,
        "network": PhaseClassifier(3, 4, (1, 1, 1, 1)),
        "slices": images(2, 3, 32, 32).float(),
    }
    exec("from inference.explain import explain\n" + EXAMPLES[number], known)
    assert len(known["maps"]) > 0


def test_every_map_and_kind_of_sam_is_named() -> None:
    """A map that is not in the table does not exist for a reader."""
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", TEXT, flags=re.M)) == sorted(METHODS)
    assert all(f"`{name}`" in TEXT for name in (*METHODS, *SAM_KINDS))


def test_numbers_and_files_are_those_of_the_program() -> None:
    """Percentile, limit and file names."""
    assert f"{SCALE_PERCENTILE}th percentile" in TEXT
    assert f"the correlation is {HIGHEST_RHO} or more" in " ".join(TEXT.split())
    assert is_poor(0.1, 0.9, HIGHEST_RHO)
    assert all(f"`{name}`" in TEXT for name in (SHEET_FILE, MAPS_FILE, FACTS_FILE))
