"""Targets other than a class's logit: the sum over a segmentation's mask."""

import numpy as np
import pytest
import torch
from explained_networks import images
from torch import Tensor, nn

from inference.explain import explain, mask_sum, phase_logit


class Segments(nn.Module):
    """Logits for each pixel, with a strong bias towards or away from the mask."""

    def __init__(self, channels: int = 1, bias: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first = nn.Conv2d(2, 5, 3, padding=1)
        self.out = nn.Conv2d(5, channels, 1)
        nn.init.constant_(self.out.bias, bias)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.first(x).relu())


def test_the_score_is_the_sum_of_probabilities_above_the_threshold() -> None:
    """y = sum_i v_i 1[v_i > t], v the probabilities of all pixels."""
    network, x = Segments(), images()
    v = torch.sigmoid(network(x)).detach()
    maps = explain(network, x, target=mask_sum(0.6), layers=["first"], maps=["sam", "grad-cam"])
    np.testing.assert_allclose(maps.scores, (v * (v > 0.6)).sum((1, 2, 3)), rtol=1e-6)
    assert maps.score_kind == "prob"
    assert maps.get("grad-cam").values.any()


@pytest.mark.parametrize("score", ["prob", "logit"])
def test_the_gradient_is_that_of_the_pixels_in_the_mask(score: str) -> None:
    """Saliency equals the hand-written derivative: m (1 - m) for "prob", 1 for "logit", over the mask only."""
    network, x = Segments(), images()
    leaf = x.clone().requires_grad_()
    z = network(leaf)
    m = torch.sigmoid(z)
    weight = ((m > 0.5) * (m * (1 - m) if score == "prob" else 1.0)).detach()
    (expected,) = torch.autograd.grad(z, leaf, weight)
    found = explain(network, x, target=mask_sum(score=score), maps=["saliency"]).get("saliency").values
    np.testing.assert_allclose(found, expected.abs().amax(1), rtol=1e-6)


def test_an_image_without_a_pixel_above_the_threshold_gives_zeros_and_a_flag() -> None:
    """Never NaN, and the other images of the batch keep their maps."""
    network, x = Segments(bias=-1.0), images()
    x[1] = 0
    for parameter in (network.first.bias,):
        parameter.data.zero_()
    maps = explain(network, x * 3, target=mask_sum(), layers=["first"], maps=["sam", "grad-cam", "guided-backprop"])
    assert maps.present.tolist() == [True, False, True]
    assert all(not m.values[1].any() and m.values[0].any() and np.isfinite(m.values).all() for m in maps)


def test_one_of_several_channels_is_explained_where_it_wins() -> None:
    """Several classes: M = {argmax = channel}."""
    network, x = Segments(channels=3), images()
    z = network(x).detach()
    expected = (z.softmax(1)[:, 2] * (z.argmax(1) == 2)).sum((1, 2))
    maps = explain(network, x, target=mask_sum(channel=2), maps=["saliency"])
    np.testing.assert_allclose(maps.scores, expected, rtol=1e-6)


def test_one_of_several_masks_is_explained() -> None:
    """A network that returns two masks: the last by default, the first when asked."""

    class Two(Segments):
        def forward(self, x: Tensor) -> Tensor:
            first = super().forward(x)
            return first, first - 100

    x = images()
    assert explain(Two(), x, target=mask_sum(output=0), maps=["saliency"]).present.all()
    assert not explain(Two(), x, target=mask_sum(), maps=["saliency"]).present.any()


def test_a_class_for_each_image() -> None:
    """phase_logit with as many classes as images explains each image's own."""
    network, x = nn.Sequential(Segments(3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), images()
    mixed = explain(network, x, target=phase_logit([2, 0, 1]), maps=["saliency"]).get("saliency").values
    for row, target in enumerate([2, 0, 1]):
        single = explain(network, x, target=target, maps=["saliency"]).get("saliency").values
        np.testing.assert_allclose(mixed[row], single[row], rtol=1e-6)


def test_an_unknown_score_is_refused() -> None:
    """Only "prob" and "logit" mean anything."""
    with pytest.raises(ValueError, match="prob"):
        mask_sum(score="dice")
