"""The segmentation networks: as large as published, learnable in all their parts, on pictures of any size."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.networks.blocks import padded
from inference.networks.classifier import parameter_count
from inference.networks.double_unet import DoubleUNet, foreground
from inference.networks.mcgunet import BackwardConvLSTM, ConvLSTM, MCGUNet
from inference.networks.r2unet import R2UNet, Recurrent

Make = Callable[..., nn.Module]
NETWORKS: dict[str, Make] = {"double-unet": DoubleUNet, "r2unet": R2UNet, "mcgunet": MCGUNet}
PUBLISHED = [
    (lambda: DoubleUNet(3), 29_288_886),
    (lambda: R2UNet(3), 39_091_393),
    (lambda: MCGUNet(3, bidirectional=False), 27_891_005),
]
every_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


def discs(size: int = 48) -> tuple[Tensor, Tensor]:
    """One picture[1, 1, row, column] with two discs, and the class of each pixel[1, row, column]."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    target = torch.zeros(1, size, size, dtype=torch.long)
    target[0][(x + 0.4) ** 2 + y**2 < 0.12] = 1
    target[0][(x - 0.4) ** 2 + (y - 0.2) ** 2 < 0.09] = 2
    levels = torch.tensor([-0.6, 0.1, 0.7])[target]
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(1)) * 0.1
    return (levels + noise)[:, None], target


def masks_of(network: nn.Module, x: Tensor) -> list[Tensor]:
    """All masks that a network gives."""
    found = network(x)
    return [found] if isinstance(found, Tensor) else list(found)


def all_masks(network: nn.Module) -> nn.Module:
    """The network as it is trained."""
    return network.showing("both") if isinstance(network, DoubleUNet) else network


def loss_of(network: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of all masks."""
    return torch.stack([F.cross_entropy(mask, target) for mask in masks_of(network, x)]).sum()


@pytest.mark.parametrize(("build", "count"), PUBLISHED, ids=NETWORKS)
def test_the_full_width_has_as_many_values_as_published(build: Callable[[], nn.Module], count: int) -> None:
    """For three channels and one class; MCGU-Net with the one ConvLSTM of its released code."""
    with torch.device("meta"):
        assert parameter_count(build()) == count


def test_the_bidirectional_network_is_larger() -> None:
    """Two ConvLSTMs a stage and the convolutions that join them."""
    with torch.device("meta"):
        assert parameter_count(MCGUNet(3)) == 34_258_429


@every_network
@pytest.mark.parametrize(("rows", "columns"), [(32, 48), (33, 47), (17, 64)])
def test_any_size_and_any_number_of_classes(make: Make, rows: int, columns: int) -> None:
    """Sizes that cannot be halved often enough are made up inside and cut off again."""
    network = make(2, 5, 8).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 2, rows, columns)).shape == (2, 5, rows, columns)


@every_network
def test_what_is_made_up_is_below_and_to_the_right(make: Make) -> None:
    """A picture that is filled up by hand gives the same logits where the picture is."""
    network = make(1, 2, 8).eval()
    x = torch.randn(1, 1, 40, 35, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        by_hand = network(padded(x, network.multiple))[..., :40, :35]
        assert torch.allclose(network(x), by_hand, atol=1e-5)


@every_network
def test_every_weight_learns(make: Make) -> None:
    """No block is cut off from the loss: each parameter has a gradient, and each weight's is not zero."""
    torch.manual_seed(1)  # with which no attention starts dead
    network = all_masks(make(1, 3, 16))
    x, target = discs(64)
    loss_of(network, torch.cat([x, x.flip(3)]), torch.cat([target, target.flip(2)])).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert name.endswith("bias") or parameter.grad.any(), name


@every_network
def test_one_slice_is_learned_by_heart(make: Make) -> None:
    """Narrow, and in a few steps: nearly every pixel of the picture gets its class."""
    torch.manual_seed(0)
    network = all_masks(make(1, 3, 8))
    x, target = discs()
    optimiser = torch.optim.Adam(network.parameters(), 4e-3)
    for _ in range(60):
        loss = loss_of(network, x, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = masks_of(network, x)[-1].argmax(1)
    for organ in (1, 2):
        both = ((found == organ) & (target == organ)).sum()
        assert 2.0 * both / ((found == organ).sum() + (target == organ).sum()) > 0.95


def test_the_first_the_second_or_both_masks() -> None:
    """They share all weights; an unknown one is refused."""
    network = DoubleUNet(1, 2, 8).eval()
    x = discs(32)[0]
    with torch.inference_mode():
        first, second = network.showing("both")(x)
        assert torch.equal(network.showing("first")(x), first)
        assert torch.equal(network(x), second)
        assert not torch.equal(first, second)
    assert network.mask == "second"
    with pytest.raises(ValueError, match="third"):
        network.showing("third")
    with pytest.raises(ValueError, match="third"):
        DoubleUNet(mask="third")


def test_the_second_network_sees_the_image_under_the_first_mask() -> None:
    """A first mask that is empty hides the image: only its skips reach the second mask."""
    network = DoubleUNet(1, 2, 8).eval()
    seen: list[Tensor] = []
    network.encoder2[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    nn.init.zeros_(network.head1.weight)
    for bias, share in (((0.0, -60.0), 0.0), ((-60.0, 0.0), 1.0), ((0.0, 0.0), 0.5)):
        network.head1.bias.data = torch.tensor(bias)
        x = discs(32)[0]
        with torch.inference_mode():
            network(x)
        assert torch.allclose(seen[-1], share * x, atol=1e-5)


def test_one_class_is_a_sigmoid() -> None:
    """As published; and with two classes of which one is always zero it is the same."""
    logits = torch.randn(2, 1, 3, 3)
    assert torch.equal(foreground(logits), logits.sigmoid())
    assert torch.allclose(foreground(torch.cat([torch.zeros_like(logits), logits], 1)), logits.sigmoid())


def test_a_convlstm_follows_its_equations() -> None:
    """Two steps written out by hand (Shi 2015, without peepholes); backwards is the sequence turned round."""
    torch.manual_seed(3)
    cell, a, b = ConvLSTM(2), torch.randn(1, 2, 5, 5), torch.randn(1, 2, 5, 5)
    i, _, o, g = cell.of_input(a).chunk(4, 1)
    memory = i.sigmoid() * g.tanh()
    hidden = o.sigmoid() * memory.tanh()
    i, f, o, g = (cell.of_input(b) + cell.of_state(hidden)).chunk(4, 1)
    memory = f.sigmoid() * memory + i.sigmoid() * g.tanh()
    assert torch.allclose(cell([a, b]), o.sigmoid() * memory.tanh(), atol=1e-6)
    turned = BackwardConvLSTM(2)
    turned.load_state_dict(cell.state_dict())
    assert torch.equal(turned([b, a]), cell([a, b]))


def test_a_recurrent_layer_follows_its_equations() -> None:
    """x1 = w(x), then twice x1 = w(x + x1)."""
    torch.manual_seed(3)
    layer, x = Recurrent(3, steps=2).eval(), torch.randn(1, 3, 6, 6)
    w = layer.again
    assert torch.equal(layer(x), w(x + w(x + w(x))))


def test_recurrent_steps_share_their_weights() -> None:
    """t = 0 is one convolution; more steps cost no values."""
    with torch.device("meta"):
        assert parameter_count(R2UNet(1, 2, 8, steps=0)) == parameter_count(R2UNet(1, 2, 8, steps=3))
