"""The classifier keeps what the maps rely on."""

import torch

from inference.explain import explain
from inference.networks.classifier import PHASES, PhaseClassifier, parameter_count


def small() -> PhaseClassifier:
    torch.manual_seed(3)
    return PhaseClassifier(3, 8, (1, 1, 1, 1)).eval()


def test_cam_is_exact() -> None:
    """The mean of the class activation map plus the head's bias is the logit, for every class (Zhou 2016)."""
    network, image = small(), torch.randn(1, 3, 64, 64)
    for phase in range(PHASES):
        found = explain(network, image, target=phase, layers=["stage16"], maps=["cam"], up=False).get("cam")
        logit = float(network(image)[0, phase].detach())
        assert abs(float(found.values.mean()) + float(network.head.bias[phase].detach()) - logit) < 1e-4


def test_grad_cam_is_cam_at_the_pooled_layer() -> None:
    """At the last layer Grad-CAM is CAM up to scale, where both are positive."""
    network, image = small(), torch.randn(1, 3, 64, 64)
    maps = explain(network, image, target=1, layers=["stage16"], maps=["cam", "grad-cam"], up=False)
    cam, grad_cam = torch.from_numpy(maps.get("cam").values).clamp(min=0), torch.from_numpy(maps.get("grad-cam").values)
    assert torch.allclose(cam / cam.max(), grad_cam / grad_cam.max(), atol=1e-5)


def test_the_sam_layer_has_half_of_the_resolution() -> None:
    """Stages are named by how much smaller than the input they are."""
    network, image = small(), torch.randn(1, 3, 64, 64)
    inner = network.stage2(network.stem(image))
    assert inner.shape[-1] == 32
    assert network.stage16(network.stage8(network.stage4(inner))).shape[-1] == 4


def test_the_answer_holds_the_logits_of_forward() -> None:
    """What is explained is what is answered."""
    network, images = small(), torch.randn(2, 3, 64, 64)
    outputs = network.answer(images)
    assert torch.equal(outputs.logits, network(images))
    assert outputs.timing.shape == (2, 2)
    assert outputs.scope.shape == (2,)


def test_a_slice_is_judged_alone() -> None:
    """The answer to a slice does not depend on its neighbours in the batch."""
    network, images = small(), torch.randn(5, 3, 64, 64)
    assert torch.allclose(network(images)[2:3], network(images[2:3]), atol=1e-5)


def test_the_full_network_fits_the_repository() -> None:
    """At full width the weights take less than 30 MB in half precision."""
    assert parameter_count(PhaseClassifier()) * 2 < 30e6
