"""Equality with captum, torchcam and pytorch-grad-cam where they are right."""

from types import ModuleType

import numpy as np
import pytest
import torch
from explained_networks import Plain, images, trained
from torch import Tensor, nn

from inference.explain import explain

LAYERS = ("first", "second", "last")


class Modular(Plain):
    """Separate nn.ReLU modules, none in place: the one form that hooks on modules can follow."""

    def __init__(self) -> None:
        super().__init__(torch.relu)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.first(x))
        x = self.last(self.relu2(self.norm(self.second(x))))
        return self.head(x.mean((2, 3)))


@pytest.fixture
def network() -> nn.Module:
    return trained(Modular()).eval()


def assert_same(found: np.ndarray, expected: Tensor | np.ndarray) -> None:
    expected = expected.detach().numpy() if isinstance(expected, Tensor) else expected
    assert expected.any()
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


def captum() -> ModuleType:
    return pytest.importorskip("captum.attr")


def test_saliency_is_captums(network: nn.Module) -> None:
    """max over channels of captum's Saliency."""
    x = images()
    expected = captum().Saliency(network).attribute(x.clone().requires_grad_(), target=1).amax(1)
    assert_same(explain(network, x, target=1, maps=["saliency"]).get("saliency").values, expected)


def test_guided_backpropagation_is_captums(network: nn.Module) -> None:
    """On plain nn.ReLU modules, which is where captum is right."""
    x = images()
    expected = captum().GuidedBackprop(network).attribute(x.clone().requires_grad_(), target=1).abs().amax(1)
    assert_same(explain(network, x, target=1, maps=["guided-backprop"]).get("guided-backprop").values, expected)


@pytest.mark.parametrize("layer", LAYERS)
def test_grad_cam_is_captums(network: nn.Module, layer: str) -> None:
    """On the layer's grid and raised to the input's."""
    x, attr = images(), captum()
    raw = attr.LayerGradCam(network, getattr(network, layer)).attribute(x, target=1, relu_attributions=True)
    found = explain(network, x, target=1, layers=[layer], maps=["grad-cam"], up=False)
    assert_same(found.get("grad-cam").values, raw[:, 0])
    up = attr.LayerAttribution.interpolate(raw, x.shape[2:], interpolate_mode="bilinear")
    found = explain(network, x, target=1, layers=[layer], maps=["grad-cam"])
    assert_same(found.get("grad-cam").values, up[:, 0])


@pytest.mark.parametrize("layer", LAYERS)
def test_hirescam_is_captums_gradient_times_activation(network: nn.Module, layer: str) -> None:
    """captum has no HiResCAM; its LayerGradientXActivation is the summand."""
    x = images()
    summand = captum().LayerGradientXActivation(network, getattr(network, layer)).attribute(x, target=1)
    found = explain(network, x, target=1, layers=[layer], maps=["hirescam"], up=False)
    assert_same(found.get("hirescam").values, summand.sum(1).relu())


@pytest.mark.parametrize("layer", LAYERS)
def test_guided_grad_cam_is_captums(network: nn.Module, layer: str) -> None:
    """Magnitude over channels of captum's guided Grad-CAM."""
    x = images()
    peer = captum().GuidedGradCam(network, getattr(network, layer))
    expected = peer.attribute(x.clone().requires_grad_(), target=1, interpolate_mode="bilinear").abs().amax(1)
    found = explain(network, x, target=1, layers=[layer], maps=["guided-grad-cam"])
    assert_same(found.get("guided-grad-cam").values, expected)


@pytest.mark.parametrize("layer", LAYERS)
def test_grad_cam_is_torchcams(network: nn.Module, layer: str) -> None:
    """Unnormalised, on the layer's grid."""
    methods = pytest.importorskip("torchcam.methods")
    x = images()
    with methods.GradCAM(network, layer) as peer:
        (expected,) = peer(1, network(x), normalized=False)
    found = explain(network, x, target=1, layers=[layer], maps=["grad-cam"], up=False)
    assert_same(found.get("grad-cam").values, expected)


def test_cam_is_torchcams(network: nn.Module) -> None:
    """At the last layer, signed."""
    methods = pytest.importorskip("torchcam.methods")
    x = images()
    with methods.CAM(network, "last", fc_layer="head") as peer:
        network(x)
        (expected,) = peer(1, normalized=False)
    assert_same(explain(network, x, target=1, layers=["last"], maps=["cam"], up=False).get("cam").values, expected)


@pytest.mark.parametrize(("method", "name"), [("grad-cam", "GradCAM"), ("hirescam", "HiResCAM")])
@pytest.mark.parametrize("layer", LAYERS)
def test_cams_are_pytorch_grad_cams(
    network: nn.Module, gradcam: ModuleType, method: str, name: str, layer: str
) -> None:
    """Before it scales each image to its own maximum."""
    x, module = images(), getattr(network, layer)
    with getattr(gradcam, name)(network, [module]) as peer:
        output = peer.activations_and_grads(x)
        output[:, 1].sum().backward()
        seen = peer.activations_and_grads
        raw = peer.get_cam_image(x, module, [], seen.activations[0].numpy(), seen.gradients[0].numpy(), False)
    network.zero_grad()
    found = explain(network, x, target=1, layers=[layer], maps=[method], up=False)
    assert_same(found.get(method).values, np.maximum(raw, 0))


def test_every_image_of_a_batch_has_its_guided_map(network: nn.Module, gradcam: ModuleType) -> None:
    """pytorch-grad-cam gives image 0 alone; it is ours[0], and ours has the others too."""
    x = images()
    copy_of = trained(Modular()).eval()
    expected = np.abs(gradcam.GuidedBackpropReLUModel(copy_of)(x.clone(), target_category=1)).max(-1)
    found = explain(network, x, target=1, maps=["guided-backprop"]).get("guided-backprop").values
    assert_same(found[0], expected)
    assert len(found) == len(x)
    assert found[1].any()
    assert found[2].any()


def test_an_image_without_evidence_looks_cold(network: nn.Module) -> None:
    """One scale for the batch: an image with a thousandth of the evidence is not blown up to full heat."""
    x = images()
    x[1] *= 1e-3
    network.first.bias.data.zero_()
    network.norm = nn.Identity()
    network.second.bias.data.zero_()
    found = explain(network, x, target=1, layers=["first"], maps=["grad-cam"]).get("grad-cam")
    assert found.values[0].max() > 0.5 * found.scale
    assert found.values[1].max() < 0.01 * found.scale
