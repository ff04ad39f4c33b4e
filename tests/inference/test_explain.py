"""explain() gives exact maps for every network that autograd can follow, and leaves no trace."""

import copy

import numpy as np
import pytest
import torch
from explained_networks import (
    SPELLINGS,
    Plain,
    PreActivation,
    Split,
    Volumetric,
    gated,
    images,
    reference_guided,
    trained,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from inference.errors import CannotExplain
from inference.explain import LAYER_METHODS, METHODS, SAM_KINDS, explain, series_scale

WITHOUT_GUIDED = ("saliency", "cam", "grad-cam", "hirescam", "sam")


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max() + 1e-30


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_guided_gradients_are_exact_for_every_spelling_of_relu(spelling: str) -> None:
    """Functional, method, in-place, re-used, by keyword: the guided rule reaches them all."""
    network, x = trained(Plain(SPELLINGS[spelling])), images()
    found = explain(network, x, target=1, maps=["guided-backprop"]).get("guided-backprop").values
    assert_same(found, reference_guided(network, x, 1).numpy())


def test_guided_gradients_by_hand() -> None:
    """y = relu(x) - 2 relu(-x) + 3 relu(x - 1) at x = 2: dy/dx is 4; at x = -2 it is 2, and the guided rule gives 0."""
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(inplace=True), nn.Conv2d(3, 1, 1, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([1.0, -1.0, 1.0]).reshape(3, 1, 1, 1))
        network[0].bias.copy_(torch.tensor([0.0, 0.0, -1.0]))
        network[2].weight.copy_(torch.tensor([1.0, -2.0, 3.0]).reshape(1, 3, 1, 1))
    x = torch.tensor([2.0, -2.0]).reshape(1, 1, 1, 2)
    maps = explain(network, x, target=lambda y: y.sum((1, 2, 3)), maps=["saliency", "guided-backprop"])
    assert maps.get("saliency").values.tolist() == [[[4.0, 2.0]]]
    assert maps.get("guided-backprop").values.tolist() == [[[4.0, 0.0]]]


@pytest.mark.parametrize("activation", [functional.relu, nn.ReLU(inplace=True)], ids=["functional", "in place"])
@pytest.mark.parametrize("kind", [PreActivation, Split])
def test_guided_gradients_are_exact_through_shortcuts_and_views(kind: type[nn.Module], activation: object) -> None:
    """Pre-activation residuals and ReLUs on views: where peers' hooks give the wrong or the plain gradient."""
    network, x = trained(kind(activation)), images()
    found = explain(network, x, target=2, maps=["guided-backprop"]).get("guided-backprop").values
    assert_same(found, reference_guided(network, x, 2).numpy())


def test_guided_gradients_are_exact_in_three_dimensions() -> None:
    """A 3-D network, its maps on the grid of the volume."""
    network, x = trained(Volumetric(nn.ReLU(inplace=True))), images(2, 1, 6, 8, 5)
    maps = explain(network, x, target=1, layers=["block", "deep"], maps=["guided-backprop", "sam"])
    assert_same(maps.get("guided-backprop").values, reference_guided(network, x, 1).numpy())
    assert {m.values.shape for m in maps} == {(2, 6, 8, 5)}


def test_sigmoid_gates_do_not_forbid_guided_maps() -> None:
    """A gate's derivative is part of the guided gradient; only other rectifiers are refused."""
    x = images()
    assert explain(trained(Plain(gated)), x, target=0, maps=["guided-backprop"]).get("guided-backprop").values.any()


@pytest.mark.parametrize("name", ["silu", "gelu", "leaky_relu", "elu", "relu6", "hardswish"])
def test_guided_maps_are_refused_for_other_activations_and_the_rest_works(name: str) -> None:
    """The reason names the activation; every map that needs no ReLU is given."""
    network, x = trained(Plain(lambda x: getattr(functional, name)(torch.relu(x)))), images()
    with pytest.raises(CannotExplain, match=name):
        explain(network, x, target=0, layers=["first"], maps=["guided-grad-cam"])
    assert len(explain(network, x, target=0, layers=["last"], maps=WITHOUT_GUIDED)) == 5


def test_no_relu_is_an_error_and_not_a_wrong_map() -> None:
    """Without an intercepted ReLU the guided map would silently be the plain gradient."""
    with pytest.raises(CannotExplain, match="none was seen"):
        explain(trained(Plain(torch.tanh)), images(), target=0, maps=["guided-backprop"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_relus_are_refused() -> None:
    """A scripted part hides its ReLUs: guided maps are refused, the others are given."""
    network, x = trained(Plain(functional.relu)), images()
    network.last = torch.jit.script(nn.Sequential(nn.ReLU()))
    with pytest.raises(CannotExplain, match="scripted"):
        explain(network, x, target=0, maps=["guided-backprop"])
    assert explain(network, x, target=0, layers=["second"], maps=["sam"]).get("sam").values.any()


def test_a_compiled_network_is_explained_as_the_network_it_was_made_of() -> None:
    """torch.compile hides activations and ReLUs, so the uncompiled modules are run."""
    network, x = trained(Plain(nn.ReLU())), images()
    compiled = torch.compile(network, backend="eager")
    found = explain(compiled, x, target=0, layers=["second", network.last], maps=METHODS)
    expected = explain(network, x, target=0, layers=["second", "last"], maps=METHODS)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


def test_cam_grad_cam_and_hirescam_agree_at_the_last_layer() -> None:
    """With global average pooling and one linear head, dy/dA = w / Z: ReLU(CAM) = Z Grad-CAM = Z HiResCAM."""
    network, x = trained(Plain(torch.relu)), images()
    maps = explain(network, x, target=[0, 1, 2], layers=["last"], maps=["cam", "grad-cam", "hirescam"], up=False)
    positions = maps.get("cam").values[0].size
    assert_same(positions * maps.get("grad-cam").values, np.maximum(maps.get("cam").values, 0))
    assert_same(maps.get("hirescam").values, maps.get("grad-cam").values)


def test_cam_sums_to_the_logit_less_its_bias() -> None:
    """Zhou et al.: the mean of CAM over all positions is what the head adds to its bias."""
    network, x = trained(Plain(torch.relu)), images()
    maps = explain(network, x, target=1, layers=["last"], maps=["cam"], up=False)
    np.testing.assert_allclose(
        maps.get("cam").values.mean((1, 2)) + network.head.bias[1].item(), maps.scores, rtol=1e-5
    )


def test_cam_is_given_only_where_it_is_defined() -> None:
    """Of several layers the pooled one has a CAM; of none that is pooled, the reason is told."""
    network, x = trained(Plain(torch.relu)), images()
    maps = explain(network, x, target=1, layers=["first", "second", "last"], maps=["cam"])
    assert [m.layer for m in maps] == ["last"]
    with pytest.raises(CannotExplain, match="CAM needs"):
        explain(network, x, target=1, layers=["first"], maps=["cam"])


@pytest.mark.parametrize("kind", SAM_KINDS)
def test_sam_is_the_product_of_its_factors(kind: str) -> None:
    """SAM at a layer is a map of the input times a map of the layer on the input's grid, by the kind asked for."""
    network, x = trained(Plain(torch.relu)), images()
    of_input, of_layer = SAM_KINDS[kind]
    maps = explain(network, x, target=1, layers=["second"], maps=["sam", of_input, of_layer], sam_kind=kind)
    assert_same(maps.get("sam").values, maps.get(of_input).values * maps.get(of_layer).values)
    assert maps.sam_kind == kind


@pytest.mark.parametrize("layer", ["first", "norm"])
def test_an_activation_that_is_overwritten_later_is_explained_as_it_was(layer: str) -> None:
    """An in-place ReLU after a layer changes neither the layer's activation nor its gradient."""
    x = images()
    found = explain(trained(Plain(nn.ReLU(inplace=True))), x, target=0, layers=[layer], maps=LAYER_METHODS[1:])
    expected = explain(trained(Plain(nn.ReLU())), x, target=0, layers=[layer], maps=LAYER_METHODS[1:])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


def test_a_network_that_ignores_its_input_gives_zero_maps() -> None:
    """No influence, no evidence: also where autograd finds no path at all."""

    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(2, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.layer(x).relu()
            return torch.ones(len(x), 3)

    for network in (Constant(), zeroed := trained(Plain(torch.relu))):
        for weight in zeroed.parameters():
            weight.data.zero_()
        maps = explain(
            network, images().to(next(network.parameters()).dtype), target=0, layers=["0"][:0], maps=["saliency"]
        )
        assert not maps.get("saliency").values.any()
    maps = explain(
        Constant(), images().float(), target=0, layers=["layer"], maps=["grad-cam", "sam", "guided-grad-cam"]
    )
    assert all(not m.values.any() and m.scale == 1.0 for m in maps)


def test_maps_are_as_equivariant_to_flips_as_the_network() -> None:
    """A network with mirror-symmetric kernels: the maps of a mirrored image are the mirrored maps."""
    network, x = trained(Plain(torch.relu)), images()
    with torch.no_grad():
        for convolution in (network.first, network.second):
            convolution.weight.copy_((convolution.weight + convolution.weight.flip(-1)) / 2)
    network.second.stride = (1, 1)
    straight = explain(network, x, target=1, layers=["first", "last"], maps=METHODS)
    mirrored = explain(network, x.flip(-1), target=1, layers=["first", "last"], maps=METHODS)
    for one, other in zip(straight, mirrored, strict=True):
        assert_same(other.values[..., ::-1], one.values)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 4),
    rows=st.integers(4, 17),
    columns=st.integers(4, 17),
    seed=st.integers(0, 10_000),
    target=st.integers(0, 2),
)
def test_laws_of_all_maps(batch: int, rows: int, columns: int, seed: int, target: int) -> None:
    """One map an image on its grid, finite, none negative but CAM, each as if the image were alone."""
    network, x = trained(Plain(nn.ReLU(inplace=True)), seed), images(batch, 2, rows, columns, seed=seed)
    maps = explain(network, x, target=target, layers=["first", "last"], maps=METHODS)
    alone = explain(network, x[-1:], target=target, layers=["first", "last"], maps=METHODS)
    for together, single in zip(maps, alone, strict=True):
        assert together.values.shape == (batch, rows, columns)
        assert together.values.dtype == np.float32
        assert np.isfinite(together.values).all()
        assert together.method == "cam" or together.values.min() >= 0
        assert_same(together.values[-1:], single.values)


def test_one_call_gives_what_single_calls_give() -> None:
    """Sharing the pass changes no map, bit for bit."""
    network, x = trained(Plain(torch.relu)), images()
    together = explain(network, x, target=1, layers=["first", "last"], maps=METHODS)
    for found in together:
        alone = explain(network, x, target=1, layers=[found.layer] if found.layer else [], maps=[found.method])
        np.testing.assert_array_equal(alone.get(found.method).values, found.values)


def test_batch_statistics_are_those_of_training() -> None:
    """A network left in training mode is explained in evaluation mode, so that images do not mix."""
    network, x = trained(Plain(torch.relu)), images()
    maps = explain(network, x, target=0, maps=["saliency"])
    expected = explain(copy.deepcopy(network).eval(), x, target=0, maps=["saliency"])
    np.testing.assert_array_equal(maps.get("saliency").values, expected.get("saliency").values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": ["gradcam"]}, "unknown maps"),
        ({"maps": ["sam"], "layers": []}, "need a layer"),
        ({"sam_kind": "hot"}, "unknown kind"),
        ({"slices": torch.zeros(2, 12, 10)}, "shape"),
        ({"slices": torch.zeros(2, 2, 12, 10, dtype=torch.int64)}, "floating"),
        ({"target": [0, 1]}, "2 classes for 3 images"),
        ({"target": lambda y: y.sum()}, "one score an image"),
    ],
)
def test_a_wrong_question_is_refused(change: dict[str, object], message: str) -> None:
    """A ValueError says which argument is wrong."""
    asked = {"slices": images(), "target": 0, "layers": ["first"], "maps": ["sam"]} | change
    with pytest.raises(ValueError, match=message):
        explain(trained(Plain(torch.relu)), asked.pop("slices"), **asked)


@pytest.mark.parametrize("layer", ["nowhere", "head", nn.ReLU()], ids=str)
def test_a_layer_without_feature_maps_is_refused(layer: object) -> None:
    """Neither an unknown layer, nor one of another network, nor one that gives no feature maps."""
    with pytest.raises(CannotExplain):
        explain(trained(Plain(torch.relu)), images(), target=0, layers=[layer], maps=["sam"])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=400))
def test_the_scale_of_a_series_lies_between_its_values(values: list[float]) -> None:
    """A positive number not above the largest value, or 1.0 when nothing is above zero."""
    scale = series_scale(np.array(values, np.float32).reshape(1, 1, -1))
    assert (0 < scale <= max(values)) if max(values) > 0 else scale == 1.0
    assert scale == 1.0 or sum(v > scale for v in values) <= 0.005 * len(values) or scale == max(values)
