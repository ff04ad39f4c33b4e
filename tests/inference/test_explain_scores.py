"""Scores reward maps that name the pixels the network used, and see through sharpening."""

import numpy as np
import pytest
import torch
from explained_networks import Plain, images, trained
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from torch import Tensor, nn

from inference.explain import Map, explain
from inference.explain.randomisation import cascade, for_card, other_class, repeatability
from inference.explain.ranking import (
    average_precision,
    pointing_game,
    recall_at_matched_count,
    share_inside,
    spearman,
    specificity_at_matched_count,
)
from inference.explain.scores import faithfulness, is_poor, score_maps

levels = arrays(np.float32, (4, 5), elements=st.integers(0, 6).map(float))
masks = arrays(np.bool_, (4, 5))


def brute_force_precision(values: np.ndarray, mask: np.ndarray) -> float:
    """Average precision from its definition, threshold by threshold."""
    area, before = 0.0, 0.0
    for threshold in sorted(set(values.ravel()), reverse=True):
        taken = values >= threshold
        recall = (taken & mask).sum() / mask.sum()
        area += (recall - before) * (taken & mask).sum() / taken.sum()
        before = recall
    return area


@settings(deadline=None)
@given(levels, masks)
def test_average_precision_is_its_definition(values: np.ndarray, mask: np.ndarray) -> None:
    """The fast form agrees with the definition, ties included; an empty mask has none."""
    if mask.any():
        assert average_precision(values, mask) == pytest.approx(brute_force_precision(values, mask))
    else:
        assert np.isnan(average_precision(values, mask))


@settings(deadline=None)
@given(levels, masks)
def test_rank_measures_do_not_change_when_a_map_is_squared(values: np.ndarray, mask: np.ndarray) -> None:
    """Sharpening gains nothing: all but the share of mass depend on the order of the pixels alone."""
    for measure in (average_precision, recall_at_matched_count, specificity_at_matched_count, pointing_game):
        np.testing.assert_allclose(measure(values**2, mask), measure(values, mask))
    assert spearman(values, values**2) == pytest.approx(1.0 if np.ptp(values) else 0.0)


def test_the_share_of_mass_is_fooled_by_squaring() -> None:
    """Which is why it never compares maps with each other."""
    values, mask = np.array([[1.0, 3.0]]), np.array([[False, True]])
    assert share_inside(values, mask) == 0.75
    assert share_inside(values**2, mask) == 0.9
    assert share_inside(-values, mask) is None


def test_a_map_that_is_the_mask_is_perfect_and_its_opposite_is_not() -> None:
    """One against all measures at both ends."""
    mask = np.zeros((4, 5), np.bool_)
    mask[1:3, 2:4] = True
    values = mask.astype(np.float32)
    measures = (average_precision, recall_at_matched_count, specificity_at_matched_count, pointing_game)
    assert [measure(values, mask) for measure in measures] == [1.0] * 4
    assert [measure(1 - values, mask) for measure in measures[1:]] == [0.0, 0.75, 0.0]


def test_ties_count_as_if_broken_at_random() -> None:
    """A constant map finds a quarter of what covers a quarter."""
    mask = np.zeros((4, 4), np.bool_)
    mask[0] = True
    flat = np.zeros((4, 4), np.float32)
    assert recall_at_matched_count(flat, mask) == 0.25
    assert pointing_game(flat, mask) == 0.25
    assert average_precision(flat, mask) == 0.25


@settings(deadline=None)
@given(levels, levels)
def test_spearman_is_scipys(one: np.ndarray, other: np.ndarray) -> None:
    """Ranks with ties averaged; zero instead of NaN for a constant."""
    if np.ptp(one) and np.ptp(other):
        assert spearman(one, other) == pytest.approx(stats.spearmanr(one.ravel(), other.ravel())[0], abs=1e-9)
    else:
        assert spearman(one, other) == 0.0


class Looks(nn.Module):
    """Says class 1 by how bright a patch is, and nothing else matters."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(8.0))

    def forward(self, x: Tensor) -> Tensor:
        seen = x[:, 0, 2:5, 3:6].mean((1, 2)) * self.scale
        return torch.stack([torch.zeros_like(seen), seen - 4], 1)


def looked_at() -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Images[2, 1, 8, 8] with a bright patch, the map of it, and the map of everything else."""
    x = torch.zeros(2, 1, 8, 8)
    x[:, :, 2:5, 3:6] = 1.0
    truth = x[:, 0].numpy().copy()
    return x, truth, 1 - truth


def test_deletion_and_insertion_know_the_pixels_that_counted() -> None:
    """The true map deletes fast and inserts fast, the opposite does the reverse, and all stay within 0 and 1."""
    x, truth, opposite = looked_at()
    right, wrong = faithfulness(Looks(), x, [truth, opposite], 1)
    assert (right.insertion - right.deletion > 0.4).all()
    assert (wrong.insertion < wrong.deletion).all()
    for area in (right.deletion, right.insertion, wrong.deletion, wrong.insertion):
        assert ((area >= 0) & (area <= 1)).all()


def test_a_map_without_order_scores_the_same_both_ways() -> None:
    """Random order: deletion and insertion agree, which is what makes their difference a test."""
    x, _, _ = looked_at()
    rng = np.random.default_rng(1)
    areas = faithfulness(Looks(), x, [rng.random((2, 8, 8), np.float32) for _ in range(60)], 1, steps=17)
    assert abs(np.mean([a.insertion - a.deletion for a in areas])) < 0.03


def test_each_image_is_scored_as_if_it_were_alone() -> None:
    """Batches of pictures are not mixed up."""
    x, truth, _ = looked_at()
    x[1] *= 0.6
    (together,) = faithfulness(Looks(), x, [truth], 1)
    (alone,) = faithfulness(Looks(), x[1:], [truth[1:]], 1)
    np.testing.assert_allclose(together.deletion[1:], alone.deletion)
    np.testing.assert_allclose(together.insertion[1:], alone.insertion)


@pytest.mark.parametrize(
    ("measured", "poor"),
    [
        ((0.2, 0.8), False),
        ((0.5, 0.5), True),
        ((0.8, 0.2), True),
        ((0.2, 0.8, 0.3), False),
        ((0.2, 0.8, 0.97), True),
        ((0.2, 0.8, -0.97), True),
        ((0.2, 0.8, 0.1, 0.05, 0.10), True),
        ((0.2, 0.8, 0.1, 0.50, 0.10), False),
        ((float("nan"), 0.8), True),
    ],
)
def test_a_map_is_poor_when_it_fails_one_test(measured: tuple[float, ...], poor: bool) -> None:
    """Order no better than random, no dependence on the weights, or off the organs."""
    assert is_poor(*measured) is poor


def test_scores_are_given_for_each_method() -> None:
    """One MapScore a method, with what is known of the model and of the organs."""
    x, truth, opposite = looked_at()
    maps = [Map("sam", "half", truth), Map("grad-cam", "last", opposite)]
    found = score_maps(Looks(), x, maps, 1, randomisation={"sam": 0.2}, organs=truth > 0)
    assert not found["sam"].poor
    assert found["sam"].organ_share == 1.0
    assert found["sam"].randomisation_rho == 0.2
    assert found["grad-cam"].poor
    assert found["grad-cam"].randomisation_rho is None


def test_the_cascade_starts_at_the_answer_and_leaves_the_model_alone() -> None:
    """Stages run from the head backwards, on a copy; the random generator is where it was."""
    network, x = trained(Plain(torch.relu)).float(), images().float()
    before, state = [w.clone() for w in network.parameters()], torch.random.get_rng_state()
    found = cascade(network, x, 1, ["first", "last"], ["saliency", "grad-cam", "sam"])
    assert found.stages == ("head", "norm", "second", "first")
    assert set(found.rho) == {("saliency", "")} | {(m, n) for m in ("grad-cam", "sam") for n in ("first", "last")}
    assert all(len(values) == 4 and max(map(abs, values)) <= 1 for values in found.rho.values())
    assert all(a.equal(b) for a, b in zip(before, network.parameters(), strict=True))
    assert torch.random.get_rng_state().equal(state)
    assert set(found.summary()) == {"saliency", "grad-cam", "sam"}


def test_the_cascade_sees_what_does_not_depend_on_the_weights() -> None:
    """A network whose map is its input keeps a correlation of one to the end."""

    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Conv2d(2, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return (x**2).sum((1, 2, 3))[:, None] + 0 * self.unused(x).sum((1, 2, 3))[:, None]

    found = cascade(Square(), images().float(), 0, [], ["saliency"])
    assert found.summary()["saliency"] == pytest.approx(1.0)


def test_another_class_gives_another_map_where_the_map_cares() -> None:
    """Two logits of opposite sign: CAM is turned over, saliency stays as it is."""
    network, x = trained(Plain(torch.relu)), images()
    with torch.no_grad():
        network.head.weight[1] = -network.head.weight[0]
    found = other_class(network, x, 0, 1, ["last"], ["cam", "saliency"])
    assert found["cam", "last"] == pytest.approx(-1.0)
    assert found["saliency", ""] == pytest.approx(1.0)


def test_repeatability_compares_neighbours() -> None:
    """The same slice twice repeats itself; a single slice has no neighbour."""
    network, x = trained(Plain(torch.relu)), images(1)
    twice = explain(network, torch.cat([x, x]), target=0, layers=["first"], maps=["sam"])
    assert repeatability(twice)["sam", "first"] == pytest.approx(1.0)
    assert repeatability(explain(network, images(3), target=0, maps=["saliency"]))["saliency", ""] < 0.5
    with pytest.raises(ValueError, match="neighbouring"):
        repeatability(explain(network, x, target=0, maps=["saliency"]))


def test_the_card_keeps_one_number_for_each_method_at_its_layer() -> None:
    """The mean magnitude over the cascade, of the layer at which the node makes that map."""
    network, x = trained(Plain(torch.relu)).float(), images().float()
    layers = {"sam": "first", "grad-cam": "last", "saliency": "first"}
    found = for_card(network, x, [0, 1, 2], layers)
    whole = cascade(network, x, [0, 1, 2], ["first", "last"], ["sam", "grad-cam", "saliency"])
    assert set(found) == {"sam", "grad-cam", "saliency"}
    assert found["sam"] == pytest.approx(np.abs(whole.rho["sam", "first"]).mean(), abs=1e-4)
    assert found["grad-cam"] == pytest.approx(np.abs(whole.rho["grad-cam", "last"]).mean(), abs=1e-4)
