"""StyleGAN2: each part does what its paper says it does."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from inference.networks.inverter import CounterfactualNetwork, Encoder
from inference.networks.stylegan2 import Discriminator, Generator, MappingNetwork, Shape
from inference.networks.stylegan2_blocks import (
    EqualConv,
    EqualLinear,
    ModulatedConv,
    blurred,
    doubled,
    minibatch_deviation,
)

SMALL = Shape(size=16, base=4, latent=12, width=128, most=16, mapping=2)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def test_a_modulated_convolution_is_a_convolution_of_its_own_for_each_image() -> None:
    """Weights scaled by the style, then brought to unit length for each output, image by image."""
    conv = ModulatedConv(5, 7, 3, latent=4)
    x, latent = torch.randn(3, 5, 9, 9), torch.randn(3, 4)
    style = conv.style(latent)
    for image, scale, found in zip(x, style, conv(x, latent), strict=True):
        weight = conv.weight * conv.gain * scale[None, :, None, None]
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        assert torch.allclose(found, F.conv2d(image[None], weight, padding=1)[0], atol=1e-5)


def test_without_demodulation_only_the_style_scales() -> None:
    """As in the layers that make the image."""
    conv = ModulatedConv(5, 2, 1, latent=4, demodulate=False)
    x, latent = torch.randn(2, 5, 4, 4), torch.randn(2, 4)
    for image, scale, found in zip(x, conv.style(latent), conv(x, latent), strict=True):
        weight = conv.weight * conv.gain * scale[None, :, None, None]
        assert torch.allclose(found, F.conv2d(image[None], weight)[0], atol=1e-5)


def test_demodulation_keeps_unit_variance_whatever_the_style() -> None:
    """Inputs of unit variance come out with unit variance, also under styles a hundred times as strong."""
    conv = ModulatedConv(32, 48, 3, latent=4)
    with torch.no_grad():
        conv.style.weight.mul_(50.0)
        found = conv(torch.randn(8, 32, 24, 24), 2.0 * torch.randn(8, 4))[:, :, 1:-1, 1:-1]
    assert float(found.var(dim=(2, 3)).mean()) == pytest.approx(1.0, abs=0.05)


def test_equalised_layers_keep_unit_variance() -> None:
    """Weights of N(0, 1) are scaled when they are used, with any learning rate of their own."""
    for layer in (EqualLinear(256, 512), EqualLinear(256, 512, speed=0.01)):
        assert float(layer(torch.randn(200, 256)).detach().var()) == pytest.approx(1.0, abs=0.1)
    found = EqualConv(64, 64, 3)(torch.randn(2, 64, 20, 20))[:, :, 1:-1, 1:-1]
    assert float(found.detach().var()) == pytest.approx(1.0, abs=0.1)


def test_doubling_is_the_filter_1_3_3_1() -> None:
    """Zeros between the pixels, smoothed with the taps of the paper: away from the border the same."""
    x = torch.randn(1, 2, 8, 8)
    spread = torch.zeros(1, 2, 16, 16)
    spread[:, :, ::2, ::2] = x
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    kernel = torch.outer(taps, taps).expand(2, 1, 4, 4)
    filtered = F.conv2d(F.pad(spread, (2, 1, 2, 1)), kernel, groups=2)
    assert torch.allclose(doubled(x)[:, :, 2:-2, 2:-2], filtered[:, :, 2:-2, 2:-2], atol=1e-6)


@pytest.mark.parametrize("kernel", [1, 3])
def test_halving_halves_and_keeps_what_is_constant(kernel: int) -> None:
    """The blur has gain one, and the sizes come out even."""
    assert torch.allclose(blurred(torch.ones(1, 3, 8, 8), kernel)[:, :, 3:-3, 3:-3], torch.tensor(1.0))
    assert EqualConv(3, 4, kernel, halve=True)(torch.randn(1, 3, 8, 8)).shape == (1, 4, 4, 4)


def test_the_minibatch_deviation_tells_how_much_a_group_varies() -> None:
    """One more channel: zero for equal images, and the mean deviation over each group otherwise."""
    same = torch.randn(1, 3, 4, 4).expand(4, -1, -1, -1)
    assert minibatch_deviation(same)[:, 3].abs().max() < 1e-3
    x = torch.randn(8, 3, 4, 4)
    found = minibatch_deviation(x, group=4)
    groups = x.view(4, 2, 3, 4, 4)
    expected = groups.std(dim=0, unbiased=False).mean(dim=(1, 2, 3))
    assert found.shape == (8, 4, 4, 4)
    assert torch.allclose(found[:, 3, 0, 0], expected.repeat(4), atol=1e-4)


def test_style_mixing_takes_the_second_latent_from_the_crossover_on() -> None:
    """Blocks before it have the first; a crossover behind the last block mixes nothing."""
    generator = Generator(SMALL)
    first, second = torch.zeros(2, 12), torch.ones(2, 12)
    mixed = generator.mixed(first, second, torch.tensor([1, 3]))
    assert mixed[:, :, 0].tolist() == [[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]


def test_noise_is_fixed_drawn_or_absent() -> None:
    """The same image from the same noise; what is drawn depends on the generator alone."""
    synthesis = Generator(SMALL).synthesis
    for block in synthesis.blocks:
        block.conv2.noise_strength.data.fill_(1.0)
    latents = torch.randn(2, 3, 12)

    def drawn(seed: int) -> torch.Tensor:
        return synthesis(latents, torch.Generator().manual_seed(seed), "random")

    assert torch.equal(synthesis(latents), synthesis(latents))
    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert not torch.equal(synthesis(latents), synthesis(latents, noise="none"))


def test_the_skip_generator_sums_the_images_of_all_sizes() -> None:
    """With all other image layers silent, what one size says is what comes out, enlarged."""
    synthesis = Generator(SMALL).synthesis
    for block in synthesis.blocks:
        block.image.conv.weight.data.zero_()
    synthesis.blocks[0].image.bias.data.fill_(0.5)
    synthesis.blocks[2].image.bias.data.fill_(-0.2)
    assert torch.allclose(synthesis(torch.randn(1, 3, 12)), torch.tensor(0.3), atol=1e-5)


def test_the_mapping_network_does_not_know_the_length_of_z() -> None:
    """z is brought to unit length first; the running mean follows w."""
    mapping = MappingNetwork(12, 2)
    z = torch.randn(4, 12)
    assert torch.allclose(mapping(z), mapping(7 * z), atol=1e-5)
    mapping.follow(torch.ones(4, 12), keep=0.75)
    assert mapping.centre.tolist() == pytest.approx([0.25] * 12)


@pytest.mark.parametrize("affine", [True, False])
def test_every_weight_of_the_generator_counts(affine: bool) -> None:
    """No parameter is left without a gradient, with a constant as input or with an affine one."""
    generator = Generator(Shape(**{**SMALL.as_options(), "affine_input": affine}))
    for block in generator.synthesis.blocks:
        block.conv2.noise_strength.data.fill_(0.1)
    generator(torch.randn(4, 12)).square().sum().backward()
    missing = [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not missing


def test_a_discriminator_sees_the_batch_and_an_encoder_does_not() -> None:
    """An image's logit depends on its group; its latent does not."""
    judge, encoder = Discriminator(SMALL), Encoder(SMALL)
    x = torch.randn(4, 1, 16, 16)
    encoder.eval()
    assert judge(x).shape == (4,)
    assert not torch.allclose(judge(x)[0], judge(x[:1].expand(4, -1, -1, -1))[0])
    assert torch.allclose(encoder(x)[0], encoder(x[:1])[0], atol=1e-5)
    assert encoder(x).shape == (4, 3, 12)


def test_sizes_that_do_not_fit_are_refused() -> None:
    """80 pixels are 5 times 16; 100 are nothing of the kind."""
    assert Shape(size=80, base=5).sizes == (5, 10, 20, 40, 80)
    with pytest.raises(ValueError, match="power of two"):
        Shape(size=100, base=5)


def test_a_network_is_the_same_after_its_card() -> None:
    """Shape and numbers of directions and regions come back from the options."""
    from inference.networks.inverter import counterfactual_network

    options = {"shape": SMALL.as_options(), "directions": ["a", "b"], "regions": ["all", "thorax", "abdomen"]}
    network = counterfactual_network(options).eval()
    assert isinstance(network, CounterfactualNetwork)
    assert network.generator.shape == SMALL
    assert network.directions.shape == (3, 2, 12)
    assert math.isfinite(float(network(torch.randn(1, 1, 16, 16)).sum()))


def test_anatomy_says_where_things_lie() -> None:
    """It moves the image of the same latents; without any the generator still draws; a size no block has is refused."""
    shape = Shape(size=16, base=4, latent=12, width=128, most=16, mapping=2, anatomy=3, anatomy_size=8)
    network = CounterfactualNetwork(shape, 1).eval()
    latents, anatomy = network.encoder.code(torch.randn(2, 1, 16, 16))
    assert anatomy is not None
    assert anatomy.shape == (2, 3, 8, 8)
    synthesis = network.generator.synthesis
    images = [synthesis(latents, anatomy=given) for given in (anatomy, anatomy.flip(3), None)]
    assert all(image.shape == (2, 1, 16, 16) for image in images)
    assert not torch.allclose(images[0], images[1], atol=1e-4)
    assert torch.equal(network.encoder(torch.ones(2, 1, 16, 16)), network.encoder.code(torch.ones(2, 1, 16, 16))[0])
    with pytest.raises(ValueError, match="anatomy"):
        Shape(size=16, base=4, anatomy=3, anatomy_size=10)


def test_the_pyramid_sees_beyond_its_own_pixels() -> None:
    """A change in one corner of the image reaches the anatomy of the opposite one."""
    encoder = Encoder(Shape(size=16, base=4, latent=12, width=128, most=16, anatomy=3, anatomy_size=8))
    image = torch.randn(1, 1, 16, 16)
    changed = image.clone()
    changed[..., :3, :3] += 2.0
    one, other = encoder.anatomy(image), encoder.anatomy(changed)
    assert one is not None
    assert other is not None
    assert not torch.equal(one[..., -1, -1], other[..., -1, -1])


FINER = replace(SMALL, anatomy=5, tissues=3, anatomy_size=4, tissue_size=16)


def test_tissues_may_be_finer_than_what_else_is_anatomy() -> None:
    """Each block is given what is as fine as it; the rest is repeated over the pixels that it stands for."""
    assert [FINER.given(size) for size in FINER.sizes] == [5, 3, 3]
    anatomy = Encoder(FINER).anatomy(torch.randn(2, 1, 16, 16))
    assert anatomy is not None
    assert anatomy.shape == (2, 5, 16, 16)
    assert torch.allclose(anatomy[:, :3].sum(dim=1), torch.ones(2, 16, 16), atol=1e-5)
    corners = anatomy[:, 3:, ::4, ::4].repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    assert torch.equal(anatomy[:, 3:], corners)
    assert not torch.equal(anatomy[:, :3, 0, 0], anatomy[:, :3, 0, 1])


def test_a_fine_pixel_of_a_tissue_is_drawn_where_it_lies() -> None:
    """Two anatomies that are the same at four by four pixels give two images, which differ most at that pixel."""
    synthesis = Generator(FINER).synthesis
    one = torch.zeros(1, 5, 16, 16)
    one[:, 0] = 1.0
    one[:, :2, 9, 5] = torch.tensor([0.0, 1.0])
    other = one.clone()
    other[:, :2, 9, 5], other[:, :2, 10, 6] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    latents = torch.randn(1, FINER.blocks, FINER.latent)
    change = (synthesis(latents, anatomy=one) - synthesis(latents, anatomy=other))[0, 0].abs()
    assert float(change[8:12, 4:8].mean()) > 3.0 * float(change.mean()) > 0.0


def test_tissues_alone_may_be_all_there_is() -> None:
    """Nothing is repeated where nothing is left."""
    anatomy = Encoder(replace(FINER, anatomy=3)).anatomy(torch.randn(2, 1, 16, 16))
    assert anatomy is not None
    assert anatomy.shape == (2, 3, 16, 16)


@pytest.mark.parametrize("wrong", [{"tissues": 0}, {"anatomy_size": 16, "tissue_size": 8}, {"tissue_size": 12}])
def test_only_tissues_can_be_finer(wrong: dict[str, int]) -> None:
    """Coarser ones, or of a size that no block has, are refused as well."""
    with pytest.raises(ValueError, match="anatomy"):
        replace(FINER, **wrong)
