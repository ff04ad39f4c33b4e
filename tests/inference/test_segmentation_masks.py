"""segment(): the organs of a volume, on the pixels of its source."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from inference.errors import CannotJudge, InvalidBundle
from inference.models import Bundle, ModelCard
from inference.phantom.organs import Organ
from inference.phases import NO_CONTENT
from inference.preprocessing import Grid, Placement
from inference.segment import ORGANS, labels_on_source, organs_of, segment, spread
from inference.training.train_segmentation import SegmentationTraining
from inference.volume import Volume

GRID = Grid(size=64, pixel_mm=4.0, windows=((0.0, 400.0),))
LEVELS = {Organ.LIVER: 100.0, Organ.AORTA: 300.0}


class Thresholds(nn.Module):
    """Logits from HU alone: liver from 60, aorta from 200 HU."""

    def forward(self, x: Tensor) -> Tensor:
        hu = 200.0 * (x[:, :1] + 1.0)
        liver, aorta = (hu > 60.0) & (hu < 200.0), hu >= 200.0
        return torch.cat([~(liver | aorta), liver, aorta], 1).float() * 20.0


def bundle(module: nn.Module | None = None, **changed: object) -> Bundle:
    options = {**GRID.as_options(), "organs": ["LIVER", "AORTA"]}
    card = ModelCard("test", "0", "segmentation", "none", "", "", "", "", {}, options)
    return Bundle(replace(card, **changed), module or Thresholds())  # type: ignore[arg-type]


def truth(count: int = 12) -> np.ndarray:
    """labels[slice, row, column]: a liver on the patient's right, an aorta behind it, in no way symmetrical."""
    y, x = np.mgrid[:120, :100]
    labels = np.zeros((count, 120, 100), np.uint8)
    labels[:, (y > 30) & (y < 70) & (x > 20) & (x < 45)] = 1
    labels[:, (y - 80) ** 2 + (x - 60) ** 2 < 49] = 2
    labels[0] = 0
    return labels


def volume(labels: np.ndarray, **changed: object) -> Volume:
    """Muscle of 30 HU with the organs at their levels; 2.5 mm pixels."""
    y, x = np.mgrid[:120, :100]
    body = (((y - 60) / 55) ** 2 + ((x - 50) / 45) ** 2 < 1)[None]
    hu = np.where(body, np.array([30.0, 100.0, 300.0])[labels], -1000.0).astype(np.float32)
    return replace(Volume.from_array(hu, (5.0, 2.5, 2.5)), **changed)  # type: ignore[arg-type]


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


@pytest.mark.parametrize("flip_rows", [False, True])
@pytest.mark.parametrize("flip_columns", [False, True])
def test_labels_lie_on_the_pixels_of_the_source(flip_rows: bool, flip_columns: bool) -> None:
    """Whichever way the source is turned, and although the network sees other pixels."""
    labels = truth()
    masks = segment(volume(labels, flip_rows=flip_rows, flip_columns=flip_columns), bundle())
    assert masks.organs == (Organ.LIVER, Organ.AORTA)
    assert masks.labels.shape == labels.shape
    assert masks.labels.dtype == np.uint8
    assert overlap(masks.mask(Organ.LIVER), labels == 1) > 0.93
    assert overlap(masks.mask(Organ.AORTA), labels == 2) > 0.85
    assert not masks.mask(Organ.LIVER)[0].any()


def test_the_network_sees_the_slice_upright() -> None:
    """A source that is upside down is turned before it is shown, so that left stays left for the network."""
    seen: list[Tensor] = []

    class Watching(Thresholds):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return super().forward(x)

    plain = volume(truth())
    turned = Volume.from_array(np.stack([plain.slice(i)[::-1, ::-1] for i in range(12)]), (5.0, 2.5, 2.5))
    segment(plain, bundle(Watching()))
    segment(replace(turned, flip_rows=True, flip_columns=True), bundle(Watching()))
    half = len(seen) // 2
    assert all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))


def test_at_most_so_many_slices_are_segmented() -> None:
    """Spread evenly, named by their place in the volume, and the same as when all are segmented."""
    labels = truth(40)
    some, all_of_them = segment(volume(labels), bundle(), most_slices=9), segment(volume(labels), bundle())
    assert len(some.slice_indices) == 9
    assert some.slice_indices == spread(40, 9)
    assert all_of_them.slice_indices == tuple(range(40))
    assert np.array_equal(some.labels, all_of_them.labels[list(some.slice_indices)])


@given(count=st.integers(1, 400), most=st.one_of(st.none(), st.integers(1, 400)))
def test_slices_are_spread_evenly(count: int, most: int | None) -> None:
    """Rising, none twice, as many as may be; and no gap is more than one slice wider than another."""
    chosen = spread(count, most)
    assert len(chosen) == min(count, most or count)
    assert chosen[0] >= 0
    assert chosen[-1] < count
    gaps = np.diff(chosen)
    assert not len(gaps) or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)


def test_outside_the_field_there_is_no_organ() -> None:
    """Even of a network that sees liver everywhere."""
    scores = np.zeros((3, 64, 64), np.float32)
    scores[1] = 1.0
    labels = labels_on_source(scores, Placement((400, 100), (1.0, 1.0), (200.0, 50.0)), GRID)
    assert (labels[200 - 120 : 200 + 120] == 1).all()
    assert not labels[: 200 - 129].any()
    assert not labels[200 + 130 :].any()


def test_an_organ_wins_by_its_probability() -> None:
    """The most probable class, not the first above one half."""
    scores = np.zeros((3, 64, 64), np.float32)
    scores[0], scores[1], scores[2] = 0.3, 0.25, 0.45
    assert (labels_on_source(scores, Placement((64, 64), (4.0, 4.0), (31.5, 31.5)), GRID) == 2).all()


@pytest.mark.parametrize(("slices", "level"), [(2, 0.0), (12, -1000.0)])
def test_what_cannot_be_judged_is_declined(slices: int, level: float) -> None:
    """Too few slices, or nothing in them."""
    empty = Volume.from_array(np.full((slices, 64, 64), level, np.float32))
    with pytest.raises(CannotJudge, match="Too few" if slices == 2 else NO_CONTENT[:20]):
        segment(empty, bundle())


def test_slices_of_any_size_and_one_kidney_are_no_trouble() -> None:
    """Odd sizes and an organ that is nowhere: an empty mask."""
    noise = np.random.default_rng(0).normal(40, 9, (5, 37, 53)).astype(np.float32)
    odd = Volume.from_array(noise, (5.0, 5.0, 5.0))
    masks = segment(odd, bundle())
    assert masks.labels.shape == (5, 37, 53)
    assert not masks.mask(Organ.AORTA).any()
    with pytest.raises(ValueError, match="not in"):
        masks.mask(Organ.SPLEEN)


def test_a_bundle_for_another_task_is_refused() -> None:
    """And one whose organs nobody knows."""
    with pytest.raises(InvalidBundle, match="phase"):
        segment(volume(truth()), bundle(task="phase"))
    with pytest.raises(InvalidBundle, match="HORN"):
        organs_of(bundle(options={**GRID.as_options(), "organs": ["HORN"]}))
    with pytest.raises(InvalidBundle, match="organs"):
        organs_of(bundle(options=GRID.as_options()))


def test_a_device_that_fails_is_given_up_for_the_cpu() -> None:
    """The volume is segmented all the same."""
    masks = segment(volume(truth()), bundle(), device="cuda:97")
    assert masks.mask(Organ.LIVER).any()


def test_the_organs_are_those_that_are_trained() -> None:
    """What a card names by default is what segment() promises."""
    assert SegmentationTraining().options["organs"] == [organ.name for organ in ORGANS]
