"""judge(): one volume in, findings or a reason out, whatever the volume holds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.errors import CannotJudge
from inference.findings import Findings
from inference.judge import judge
from inference.models import Bundle, ModelCard
from inference.networks.classifier import PhaseClassifier
from inference.preprocessing import Grid
from inference.volume import Volume

OPTIONS = {**Grid(size=64, pixel_mm=6.0).as_options(), "width": 4, "blocks": [1, 1, 1, 1]}
CARD = ModelCard("tiny", "0", "phase", "phase-classifier", "0" * 64, "tests", "all", "none", options=OPTIONS)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """An untrained network that takes everything for a trunk."""
    torch.manual_seed(5)
    network = PhaseClassifier(3, 4, (1, 1, 1, 1)).eval()
    with torch.no_grad():
        network.scope.bias.fill_(20.0)
        network.head.weight.mul_(30.0)
    return Bundle(CARD, network.requires_grad_(False))


def body(slices: int = 9, rows: int = 80, columns: int = 90, seed: int = 0) -> np.ndarray:
    """An ellipse of noisy tissue with a bright disc off its centre."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    image = np.where(y**2 + x**2 < 0.7, 50.0, -1000.0) + np.where((y + 0.3) ** 2 + (x - 0.2) ** 2 < 0.02, 200.0, 0.0)
    return (image[None] + random.normal(0, 10, (slices, rows, columns))).astype(np.float32)


def same(a: Findings, b: Findings) -> bool:
    return list(a.probabilities.values()) == pytest.approx(list(b.probabilities.values()), abs=1e-4)


def test_a_whole_stack_has_a_map_of_every_slice(bundle: Bundle) -> None:
    """Each as it would be alone, one scale for each kind, key slices and scores as without; small until looked at."""
    volume = Volume.from_array(body(40), (5.0, 4.0, 4.0))
    found, few = (judge(volume, bundle, key_slices=2, whole_stack=whole) for whole in (True, False))
    assert (found.key_slices, found.map_scores) == (few.key_slices, few.map_scores)
    assert [(m.method, m.slice_index) for m in found.maps] == [(m, i) for m in ("sam", "grad-cam") for i in range(40)]
    stack = {(m.method, m.slice_index): m for m in found.maps}
    for one in few.maps:
        np.testing.assert_allclose(stack[one.method, one.slice_index].values, one.values, atol=1e-5 * one.scale)
    assert len({m.scale for m in found.maps}) == 2
    assert {m.made.shape for m in found.maps} == {(64, 64)}


def test_findings_are_complete(bundle: Bundle) -> None:
    """Every slice has its evidence; key slices have maps on the source's pixels, one scale for each kind."""
    found = judge(Volume.from_array(body(), (5.0, 4.0, 4.0)), bundle, key_slices=2)
    assert sum(found.probabilities.values()) == pytest.approx(1.0)
    assert found.confidence == max(found.probabilities.values())
    assert (found.phase is None) == (found.reason is not None)
    assert len(found.slices) == 9
    assert len(found.key_slices) == 2
    assert [m.method for m in found.maps] == ["sam", "sam", "grad-cam", "grad-cam"]
    assert {m.slice_index for m in found.maps} == set(found.key_slices)
    for made in found.maps:
        assert made.values.shape == (80, 90)
        assert made.values.dtype == np.float32
        assert made.values.min() >= 0.0
    assert len({m.scale for m in found.maps if m.method == "sam"}) == 1
    assert {m.method: m.layer for m in found.maps} == {"sam": "stage2", "grad-cam": "stage16"}


def test_key_slices_lie_apart(bundle: Bundle) -> None:
    """Three key slices of a long series are not three neighbours."""
    found = judge(Volume.from_array(body(60), (5.0, 4.0, 4.0)), bundle, key_slices=3, maps=())
    assert np.diff(sorted(found.key_slices)).min() * 5.0 > 295.0 / 6.0
    assert found.maps == ()


def test_the_way_a_slice_is_stored_does_not_matter(bundle: Bundle) -> None:
    """A volume stored back-first and left-first has the same answer, and its maps lie on its own pixels."""
    upright = Volume.from_array(body(), (5.0, 4.0, 4.0))
    turned = replace(
        Volume.from_array(body()[:, ::-1, ::-1].copy(), (5.0, 4.0, 4.0)), flip_rows=True, flip_columns=True
    )
    a, b = judge(upright, bundle), judge(turned, bundle)
    assert same(a, b)
    assert np.allclose(a.maps[0].values, b.maps[0].values[::-1, ::-1], atol=1e-6 + 1e-3 * a.maps[0].scale)


def test_the_answer_is_repeatable(bundle: Bundle) -> None:
    """Judging twice gives the same numbers."""
    volume = Volume.from_array(body())
    a, b = judge(volume, bundle), judge(volume, bundle)
    assert a.probabilities == b.probabilities
    assert np.array_equal(a.maps[0].values, b.maps[0].values)


def test_progress_is_told(bundle: Bundle) -> None:
    """A waiting person hears how many slices are done, up to all of them."""
    heard: list[tuple[int, int]] = []
    judge(Volume.from_array(body(40)), bundle, maps=(), progress=lambda done, of: heard.append((done, of)))
    assert heard[-1] == (40, 40)
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})


def test_slices_are_read_in_small_batches(bundle: Bundle) -> None:
    """A slice is read once, and never more than a batch is held: memory is flat in the number of slices."""
    pixels, reads = body(1)[0], list[int]()

    def read(index: int) -> np.ndarray:
        reads.append(index)
        return pixels

    volume = replace(Volume.from_array(np.broadcast_to(pixels, (300, *pixels.shape))), read=read)
    judge(volume, bundle, maps=(), key_slices=1)
    assert reads == list(range(300))


def test_a_device_that_fails_is_given_up(bundle: Bundle) -> None:
    """A device that is not there costs a warning, not the answer."""
    volume = Volume.from_array(body())
    assert same(judge(volume, bundle, device="cuda:7", maps=()), judge(volume, bundle, maps=()))


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (body(2), "Too few slices"),
        (np.full((10, 64, 64), np.nan, np.float32), "hold no tissue"),
        (np.full((10, 64, 64), 3071.0, np.float32), "hold no tissue"),
    ],
)
def test_what_holds_nothing_is_declined(bundle: Bundle, pixels: np.ndarray, said: str) -> None:
    """Empty, constant and tiny volumes are declined with a reason for a person."""
    with pytest.raises(CannotJudge, match=said):
        judge(Volume.from_array(pixels), bundle)


@given(
    shape=st.tuples(st.integers(3, 6), st.integers(1, 40), st.integers(1, 40)),
    level=st.sampled_from([np.nan, np.inf, 1e20, -1e20, 0.0]),
    spacing=st.floats(0.05, 30.0),
    seed=st.integers(0, 1000),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bad_input_is_judged_or_declined(
    bundle: Bundle, shape: tuple[int, int, int], level: float, spacing: float, seed: int
) -> None:
    """Absurd values, one-pixel slices and absurd spacing lead to findings or to a reason, never to another error."""
    pixels = np.random.default_rng(seed).normal(40, 300, shape).astype(np.float32)
    pixels.reshape(-1)[:: max(1, pixels.size // 3)] = level
    try:
        found = judge(Volume.from_array(pixels, (10.0, spacing, spacing)), bundle)
    except CannotJudge as error:
        said = error.reason
    else:
        assert np.isfinite(list(found.probabilities.values())).all()
        said = found.reason or "An answer."
    assert said.endswith(".")
