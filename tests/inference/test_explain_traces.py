"""explain() reads a network and never writes to it: not when it fails, not from several threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from explained_networks import Plain, PreActivation, images, trained
from torch import Tensor, nn

from inference.explain import METHODS, MapSet, explain


def state(network: nn.Module) -> list[object]:
    """Everything that a careless library changes."""
    found: list[object] = []
    for name, module in network.named_modules():
        hooks = {k: dict(v) for k, v in vars(module).items() if "hook" in k and isinstance(v, dict)}
        found += [name, id(module), module.training, sorted(vars(module)), hooks]
    for name, weight in [*network.named_parameters(), *network.named_buffers()]:
        found += [name, id(weight), weight.data_ptr(), weight.requires_grad, weight.grad is None, weight._version]
        found.append(weight.detach().clone().numpy().tobytes())
    return found


def everything(network: nn.Module, x: Tensor, target: int = 0) -> MapSet:
    return explain(network, x, target=target, layers=["stem", "convs.1"], maps=[m for m in METHODS if m != "cam"])


@pytest.mark.parametrize("training", [True, False])
def test_no_trace_is_left(training: bool) -> None:
    """Weights, buffers, gradients, hooks, flags and mode are those from before, and so is the input."""
    network, x = trained(PreActivation(nn.ReLU(inplace=True))).train(training), images()
    network.stem.weight.requires_grad_(False)
    before, copy_of_x = state(network), x.clone()
    everything(network, x)
    assert state(network) == before
    assert x.equal(copy_of_x)
    assert x.grad is None
    assert not x.requires_grad


class Fails(nn.Module):
    """Fails in the forward or in the backward pass."""

    def __init__(self, backward: bool) -> None:
        super().__init__()
        self.backward = backward

    def forward(self, x: Tensor) -> Tensor:
        if not self.backward:
            raise RuntimeError("in the middle")
        x = x * 1.0
        x.register_hook(lambda gradient: (_ for _ in ()).throw(RuntimeError("in the middle")))
        return x


@pytest.mark.parametrize("backward", [False, True])
def test_no_trace_is_left_by_a_failure(backward: bool) -> None:
    """An error in the middle of either pass leaves the network, and this thread's modes, as they were."""
    network, x = trained(Plain(nn.ReLU(inplace=True))), images()
    network.last = Fails(backward)
    before = state(network)
    with pytest.raises(RuntimeError, match="in the middle"):
        explain(network, x, target=0, layers=["first"], maps=["guided-backprop", "sam"])
    assert state(network) == before
    assert torch.is_grad_enabled()
    assert not torch.overrides._get_current_function_mode_stack()


def test_a_failing_target_leaves_no_trace() -> None:
    """A target that raises is the caller's error and passes through."""
    network = trained(Plain(nn.ReLU()))
    before = state(network)
    with pytest.raises(ZeroDivisionError):
        explain(network, images(), target=lambda y: y[:, 0] / (1 // 0), layers=["first"], maps=["sam"])
    assert state(network) == before


def test_networks_that_write_to_their_buffers_or_inputs_are_not_changed() -> None:
    """A counter in a buffer, an in-place operation on the input: both happen to copies."""

    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))
            self.seen: list[int] = []
            self.layer = nn.Conv2d(2, 3, 1).double()

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            self.seen.append(1)
            return self.layer(x.mul_(2)).relu().mean((2, 3))

    network, x = Writes(), images()
    before, copy_of_x = state(network), x.clone()
    assert explain(network, x, target=0, layers=["layer"], maps=["sam"]).get("sam").values.any()
    assert state(network) == before
    assert network.seen == []
    assert x.equal(copy_of_x)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_the_callers_modes_do_not_matter(mode: object) -> None:
    """Under inference mode, no_grad and autocast the maps are the same, and the mode is on again afterwards."""
    network, x = trained(PreActivation(nn.ReLU(inplace=True))).float(), images().float()  # autocast leaves doubles
    expected = everything(network, x)
    with mode():
        inside = torch.is_inference_mode_enabled(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")
        found = everything(network, x.clone())
        after = torch.is_inference_mode_enabled(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")
    assert inside == after
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


def test_a_network_made_in_inference_mode_is_explained() -> None:
    """Its weights are inference tensors, which autograd refuses to save."""
    with torch.inference_mode():
        network = trained(PreActivation(nn.ReLU()))
        found = everything(network, images())
    np.testing.assert_array_equal(
        found.get("sam").values, everything(trained(PreActivation(nn.ReLU())), images()).get("sam").values
    )


class Meets(nn.Module):
    """Waits in the forward pass until all threads are in it, and looks at the network meanwhile."""

    def __init__(self, parties: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(parties, timeout=30)

    def forward(self, x: Tensor) -> Tensor:
        self.barrier.wait()
        return x


def test_threads_in_the_same_network_do_not_see_each_other() -> None:
    """Four threads, all inside the forward pass of one network at once, each with its own images and class."""
    network = trained(PreActivation(nn.ReLU(inplace=True)))
    inputs = [images(seed=seed) for seed in range(4)]
    expected = [everything(network, x, target=i % 3) for i, x in enumerate(inputs)]
    network.convs.insert(1, Meets(4))
    network.convs[1], network.convs[2] = nn.Sequential(network.convs[2], network.convs[1]), nn.Identity()
    network.convs = nn.ModuleList([network.convs[0], network.convs[1], network.convs[3]])
    before = state(network)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda pair: everything(network, pair[1], target=pair[0] % 3), enumerate(inputs)))
    assert state(network) == before
    for one, other in zip(found, expected, strict=True):
        for mine, alone in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine.values, alone.values)


def test_a_thread_that_uses_the_network_meanwhile_sees_a_plain_network() -> None:
    """While one thread explains, another runs the same network and finds no hooks, no modes and plain gradients."""
    network, x = trained(Plain(nn.ReLU())), images()
    inside, release = threading.Event(), threading.Event()

    class Stops(nn.Module):
        def forward(self, y: Tensor) -> Tensor:
            if threading.current_thread() is not threading.main_thread():
                inside.set()
                assert release.wait(30)
            return y

    network.last = Stops()
    plain = torch.autograd.grad(network(leaf := x.clone().requires_grad_())[:, 0].sum(), leaf)[0]
    network.eval().train()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(explain, network, x, target=0, layers=["first"], maps=["guided-backprop", "sam"])
        assert inside.wait(30)
        assert network.training
        assert not network.first._forward_hooks
        again = torch.autograd.grad(network(leaf := x.clone().requires_grad_())[:, 0].sum(), leaf)[0]
        release.set()
        running.result(30)
    assert again.equal(plain)
