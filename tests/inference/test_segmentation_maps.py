"""Maps of a mask, through the same shared pass as those of a phase: equal to plain torch and to a peer."""

from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.explain import Map, explain, mask_sum
from inference.models import NETWORKS
from inference.training.train_segmentation import LAYERS

OPTIONS = {"windows": [[-160, 240], [0, 500]], "organs": ["AORTA", "LIVER"], "width": 8}
LIVER = 2
every_network = pytest.mark.parametrize("name", LAYERS)


def network_of(name: str, seed: int = 0) -> nn.Module:
    """Random weights, and normalisation as after some training, in double precision."""
    torch.manual_seed(seed)
    network = NETWORKS[name](OPTIONS)
    with torch.no_grad():
        for _ in range(3):
            network(pictures())
    return network.double().eval()


def pictures() -> Tensor:
    """Three of 40 x 36 pixels, which nothing divides."""
    return torch.randn(3, 2, 40, 36, generator=torch.Generator().manual_seed(4))


def by_hand(network: nn.Module, layer: str, channel: int, score: str) -> dict[str, Tensor]:
    """y and its maps, image by image, by nothing but a hook and autograd."""
    kept: list[Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _, inputs, output: kept.append(output))
    found: dict[str, list[Tensor]] = {"y": [], "grad-cam": [], "hirescam": [], "sam": []}
    for picture in pictures().double():
        x = picture[None].clone().requires_grad_()
        logits = network(x)
        inside = logits.argmax(1) == channel
        values = logits.softmax(1)[:, channel] if score == "prob" else logits[:, channel]
        y = values[inside].sum()
        da, dx = torch.autograd.grad(y, [kept[-1], x])
        a = kept[-1].detach()
        flat = {
            "grad-cam": (da.mean((2, 3), keepdim=True) * a).sum(1).relu(),
            "hirescam": (da * a).sum(1).relu(),
        }
        up = {k: F.interpolate(v[:, None], x.shape[2:], mode="bilinear")[:, 0] for k, v in flat.items()}
        for key, value in {"y": y.detach()[None], **up, "sam": dx.abs().amax(1) * up["hirescam"]}.items():
            found[key].append(value)
    hook.remove()
    return {key: torch.cat(values) for key, values in found.items()}


def assert_same(found: Map, expected: Tensor) -> None:
    assert expected.any()
    assert np.abs(found.values - expected.numpy()).max() <= 1e-6 * float(expected.abs().max())


@every_network
@pytest.mark.parametrize("score", ["prob", "logit"])
@pytest.mark.parametrize("kind", ["sam", "grad-cam"])
def test_maps_of_an_organ_are_those_of_plain_torch(name: str, score: str, kind: str) -> None:
    """At the layers that each network names for SAM and for Grad-CAM."""
    network, layer = network_of(name), LAYERS[name][kind]
    expected = by_hand(network, layer, LIVER, score)
    maps = explain(
        network,
        pictures().double(),
        target=mask_sum(score=score, channel=LIVER),
        layers=[layer],
        maps=["sam", "grad-cam", "hirescam"],
    )
    np.testing.assert_allclose(maps.scores, expected["y"], rtol=1e-6)
    for method in ("sam", "grad-cam", "hirescam"):
        assert_same(maps.get(method), expected[method])


@every_network
@pytest.mark.parametrize(("method", "peer_name"), [("grad-cam", "GradCAM"), ("hirescam", "HiResCAM")])
def test_maps_of_an_organ_are_pytorch_grad_cams(name: str, method: str, peer_name: str, gradcam: ModuleType) -> None:
    """Its SemanticSegmentationTarget over the same pixels, before it scales each image to its own maximum."""
    from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget  # type: ignore[import-not-found]

    network, x, layer = network_of(name), pictures().double()[:1], LAYERS[name]["sam"]
    module = network.get_submodule(layer)
    with getattr(gradcam, peer_name)(network, [module]) as peer:
        output = peer.activations_and_grads(x)
        inside = (output[0].argmax(0) == LIVER).numpy()
        SemanticSegmentationTarget(LIVER, inside)(output[0]).backward()
        seen = peer.activations_and_grads
        raw = peer.get_cam_image(x, module, [], seen.activations[0].numpy(), seen.gradients[0].numpy(), False)
    network.zero_grad()
    target = mask_sum(score="logit", channel=LIVER)
    found = explain(network, x, target=target, layers=[layer], maps=[method], up=False)
    assert_same(found.get(method), torch.from_numpy(np.maximum(raw, 0)))


@every_network
def test_an_organ_that_is_nowhere_gives_zeros_and_a_flag(name: str) -> None:
    """Never NaN, in any map."""
    network = network_of(name)
    head = network.head2 if name == "double-unet" else network.head
    head.bias.data[LIVER] = -1e3
    maps = explain(
        network,
        pictures().double(),
        target=mask_sum(channel=LIVER),
        layers=[LAYERS[name]["sam"]],
        maps=["sam", "grad-cam", "hirescam", "saliency", "guided-backprop", "guided-grad-cam"],
    )
    assert not maps.present.any()
    assert all(not found.values.any() and np.isfinite(found.values).all() for found in maps)


def test_the_first_or_the_second_mask_of_a_double_unet() -> None:
    """Of both masks `output` picks one, with the maps that a network of that mask alone has."""
    network = network_of("double-unet")
    for output, mask, layer in ((0, "first", "decoder1.2"), (1, "second", "decoder2.2")):
        target = mask_sum(channel=LIVER, output=output)
        both = explain(network.showing("both"), pictures().double(), target=target, layers=[layer], maps=["grad-cam"])
        alone = explain(
            network.showing(mask),
            pictures().double(),
            target=mask_sum(channel=LIVER),
            layers=[layer],
            maps=["grad-cam"],
        )
        np.testing.assert_allclose(both.get("grad-cam").values, alone.get("grad-cam").values, rtol=1e-6)
        assert both.get("grad-cam").values.any()
        np.testing.assert_allclose(both.scores, alone.scores, rtol=1e-6)


def test_the_first_mask_has_no_map_in_the_second_network() -> None:
    """What was run after it cannot have made it: all zero."""
    network = network_of("double-unet").showing("both")
    target = mask_sum(channel=LIVER, output=0)
    maps = explain(network, pictures().double(), target=target, layers=["decoder2.2"], maps=["grad-cam"])
    assert maps.present.any()
    assert not maps.get("grad-cam").values.any()
