"""Counterfactuals: directions are found, walks change what they say, and what is not known is not shown."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.counterfactual.cloud import Array, Cloud
from inference.counterfactual.directions import directions, names_of, ranking, ridge_logistic
from inference.counterfactual.fidelity import bootstrapped, frechet_distance, share_in, share_of_hottest
from inference.counterfactual.fitting import Fitting, fit
from inference.counterfactual.inversion import Inversion, Refinement, invert, refined
from inference.counterfactual.model import CounterfactualModel
from inference.counterfactual.predictor import Predictor, predictor_of
from inference.counterfactual.regions import Region, regions_of
from inference.counterfactual.series import Counterfactual, counterfactual, facts, merit, routes, towards, write
from inference.counterfactual.view import View
from inference.counterfactual.walk import STEPS_SD, Walk, walk
from inference.errors import CannotExplain
from inference.models import Bundle, ModelCard, load_bundle, save_bundle
from inference.networks.classifier import PhaseClassifier
from inference.networks.inverter import Code, CounterfactualNetwork
from inference.networks.stylegan2 import Shape
from inference.phantom.tissues import Tissue
from inference.phases import PHASES, Phase
from inference.preprocessing import Grid
from inference.rendering.caption import Caption
from inference.rendering.counterfactual import HEIGHT, WIDTH, frames, laid_out, strip
from inference.volume import Volume

SHAPE = Shape(size=16, base=4, latent=6, width=64, most=8, mapping=1)
VIEW = View(size=16, pixel_mm=25.0)
GRID = Grid(size=32, pixel_mm=12.5)
CAPTION = Caption("4", "abdomen", datetime(2026, 1, 2, 3, 4, tzinfo=UTC))


def phase_bundle() -> Bundle:
    torch.manual_seed(0)
    module = PhaseClassifier(3, 4, (1, 1, 1, 1)).eval().requires_grad_(False)
    options = {**GRID.as_options(), "width": 4, "blocks": [1, 1, 1, 1]}
    return Bundle(ModelCard("phase", "1", "phase", "phase-classifier", "abc", "", "", "", {}, options), module)


def generator_bundle(explains: str = "abc") -> Bundle:
    torch.manual_seed(1)
    names = names_of([phase.value for phase in PHASES])
    network = CounterfactualNetwork(SHAPE, len(names)).eval().requires_grad_(False)
    network.directions.copy_(torch.eye(SHAPE.latent)[[0, 1, 2, 3, 4, 5, 0]])
    options = {**VIEW.as_options(), "shape": SHAPE.as_options(), "directions": list(names)}
    options |= {"regions": ["all"], "explains": explains}
    card = ModelCard("generator", "1", "generator", "counterfactual", "def", "", "", "", {}, options)
    return Bundle(replace(card, metrics={"distance": {"99 %": 50.0}}), network)


def by_brightness(hounsfield: np.ndarray) -> np.ndarray:
    """A model that tells classes by how bright a slice is: a black box without any network."""
    level = hounsfield.mean(axis=(1, 2), dtype=np.float64)[:, None] / 20.0
    return -np.square(level - np.array([0.0, 1.0, 2.0, 3.0]) * 3)


def model() -> CounterfactualModel:
    made = CounterfactualModel.of(generator_bundle(), phase_bundle())
    return replace(made, predictor=Predictor(GRID, by_brightness))


def volume() -> Volume:
    y, x = np.mgrid[-1:1:40j, -1:1:40j]
    disc = np.where(x**2 + y**2 < 0.7, 90.0, -1000.0).astype(np.float32)
    return Volume.from_array(np.stack([disc + i for i in range(4)]), (5.0, 8.0, 8.0))


def test_whitened_latents_have_unit_variance_and_come_back() -> None:
    """The cloud's own latents lie at distance one on average; mean + spread u is w again."""
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    latents = rng.normal(size=(500, 4)) @ np.diag([3.0, 1.0, 0.5, 0.2]) @ turned + 7.0
    cloud = Cloud.around(latents)
    u = cloud.whitened(latents)
    assert np.allclose(np.cov(u, rowvar=False), np.eye(4), atol=1e-6)
    assert np.allclose(cloud.mean + u @ cloud.spread.T, latents)
    assert np.sqrt(np.square(cloud.distance(latents)).mean()) == pytest.approx(1.0, abs=0.01)
    assert cloud.distance(cloud.mean[None])[0] == pytest.approx(0.0, abs=1e-9)


def test_a_cloud_that_is_flat_is_still_one() -> None:
    """Along axes on which nothing is known it is thin, not infinitely thin."""
    flat = np.outer(np.linspace(-1, 1, 50), [1.0, 0.0, 0.0])
    assert np.isfinite(Cloud.around(flat).distance(np.array([[0.0, 1.0, 0.0]]))).all()
    with pytest.raises(ValueError, match="no cloud"):
        Cloud.around(flat[:1])


def test_ridge_logistic_regression_is_at_its_minimum() -> None:
    """The gradient of the penalised loss vanishes, for soft targets and weights as well; a penalty shrinks."""
    rng = np.random.default_rng(1)
    x, weights = rng.normal(size=(300, 5)), rng.uniform(0.2, 1.0, 300)
    target = 1 / (1 + np.exp(-(x @ [1.0, -2.0, 0.0, 0.5, 0.0] + 0.3)))
    slope, offset = ridge_logistic(x, target, weights, 2.0)
    belief = 1 / (1 + np.exp(-(x @ slope + offset)))
    assert np.abs(x.T @ (weights * (belief - target)) + 2.0 * slope).max() < 1e-6
    assert np.linalg.norm(ridge_logistic(x, target, weights, 100.0)[0]) < np.linalg.norm(slope)


def test_directions_find_the_axes_along_which_the_answer_changes() -> None:
    """Class 0 lies at one end of an axis and class 2 at the other; the pairs point from the earlier to the later."""
    u = np.random.default_rng(2).normal(size=(2000, 8))
    logits = -2.0 * np.square(2.0 * u[:, :1] - np.array([-2.0, 0.0, 2.0]))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = {direction.name: direction for direction in directions(u, shares, "abc")}
    assert tuple(found) == names_of("abc") == ("a", "b", "c", "a > b", "b > c")
    assert found["a"].unit[0] < -0.98
    assert min(found[name].unit[0] for name in ("c", "a > b", "b > c")) > 0.98
    assert all(np.linalg.norm(direction.unit) == pytest.approx(1.0) for direction in found.values())
    assert found["c"].auc > 0.97


def test_ranking_is_the_share_of_pairs_in_order() -> None:
    """Against counting all pairs; a tie counts half."""
    score, positive = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True])
    assert ranking(score, positive) == pytest.approx((1 + 0.5 + 1 + 1) / 4)


def test_the_view_and_the_models_grid_show_the_same_field() -> None:
    """HU survive within the window; a model with another field is refused with a reason."""
    hounsfield = torch.linspace(-180, 380, 16).expand(1, 16, 16).contiguous()
    assert torch.allclose(VIEW.hounsfield(VIEW.units(hounsfield)), hounsfield, atol=1e-3)
    on_grid = VIEW.onto(hounsfield, GRID)
    assert on_grid.shape == (1, 32, 32)
    assert on_grid.mean() == pytest.approx(float(hounsfield.mean()), abs=2.0)
    with pytest.raises(CannotExplain, match="train a generator"):
        VIEW.onto(hounsfield, Grid(size=32, pixel_mm=2.0))


def test_a_generator_explains_the_model_it_was_made_for() -> None:
    """Directions of another model, or a bundle that is no generator, are refused."""
    with pytest.raises(CannotExplain, match="another model"):
        CounterfactualModel.of(generator_bundle(explains="xyz"), phase_bundle())
    with pytest.raises(CannotExplain, match="no generator"):
        CounterfactualModel.of(phase_bundle(), phase_bundle())


def test_a_step_is_one_standard_deviation_and_has_a_way_back() -> None:
    """Whitened, it has length one; a pair backwards is the pair with its sign turned."""
    made = model()
    for name in made.names:
        moved = made.cloud.whitened(made.cloud.mean + made.step(name))
        assert np.linalg.norm(moved) == pytest.approx(1.0)
    assert np.allclose(made.step("portal venous > arterial"), -made.step("arterial > portal venous"))
    with pytest.raises(KeyError, match="no direction"):
        made.step("venous")


def test_a_walk_begins_at_the_reconstruction_and_says_what_the_model_says() -> None:
    """x_0 is G(w); the change there is nought; Spearman and flip follow from the logits."""
    made = model()
    latents = made.network.encoder(torch.rand(1, 1, 16, 16))[0]
    found = walk(made, latents, "arterial > portal venous")
    assert np.allclose(found.hounsfield[found.start], made.images(latents[None])[0].numpy(), atol=1e-3)
    assert found.change[found.start].max() == 0.0
    assert found.target == PHASES.index(Phase.PORTAL_VENOUS)
    assert np.allclose(found.probabilities.sum(axis=1), 1.0)
    rising = replace(found, logits=np.stack([[0, -s, s, 0] for s in STEPS_SD]))
    assert rising.spearman == pytest.approx(1.0)
    assert rising.flip_sd == 0.5
    falling = replace(found, logits=np.stack([[0, s, -s, 0] for s in STEPS_SD]))
    assert falling.spearman == pytest.approx(-1.0)
    assert falling.flip_sd is None


def test_a_walk_leaves_the_anatomy_alone() -> None:
    """Inverted, a slice has anatomy and latents; only the latter are moved."""
    shape = replace(SHAPE, anatomy=2, anatomy_size=8)
    bundle = generator_bundle()
    network = CounterfactualNetwork(shape, len(bundle.card.options["directions"])).eval().requires_grad_(False)
    network.directions.copy_(bundle.module.directions)  # type: ignore[arg-type]
    made = replace(model(), network=network)
    inverted = invert(made, torch.rand(1, 1, 16, 16) * 2 - 1, np.eye(4)[:1], Refinement(steps=2))[0]
    assert inverted.anatomy is not None
    assert inverted.anatomy.shape == (2, 8, 8)
    found = walk(made, inverted.latents, "delayed", anatomy=inverted.anatomy)
    assert np.allclose(found.hounsfield[found.start], inverted.reconstruction.numpy(), atol=1e-3)
    elsewhere = walk(made, inverted.latents, "delayed", anatomy=inverted.anatomy.flip(2))
    assert not np.allclose(found.hounsfield, elsewhere.hounsfield, atol=1.0)


def test_refinement_brings_the_reconstruction_nearer() -> None:
    """A few steps lower the error, and look at the image alone."""
    made = model()
    images = torch.rand(2, 1, 16, 16) * 2 - 1
    source = others_than(invert(made, images, np.full((2, 4), 0.25), Refinement(steps=0)))
    plain = invert(made, images, source, Refinement(steps=0))
    better = invert(made, images, source, Refinement(steps=60))
    assert all(b.error_hu < a.error_hu for a, b in zip(plain, better, strict=True))


def test_a_slice_that_is_answered_as_it_was_is_not_refined() -> None:
    """Of two slices the one that is not: what is drawn by refinement follows w less."""
    made = model()
    images = torch.rand(2, 1, 16, 16) * 2 - 1
    plain = invert(made, images, np.full((2, 4), 0.25), Refinement(steps=0))
    source = np.stack([plain[0].kept, others_than(plain)[1]])
    found = invert(made, images, source, Refinement(steps=5))
    assert torch.equal(found[0].latents, plain[0].latents)
    assert not torch.equal(found[1].latents, plain[1].latents)


def test_the_texture_is_refined_only_where_w_does_not_suffice() -> None:
    """Each stage begins at what the encoder read, and the last one that is tried is kept."""
    made = anatomical()
    images = torch.rand(2, 1, 16, 16) * 2 - 1
    plain = invert(made, images, np.full((2, 4), 0.25), Refinement(steps=0))
    how = Refinement(steps=5)
    by_w = refined(made, images, made.network.encoder.code(images), how)
    said = invert_answers(made, by_w)
    found = invert(made, images, others_than(plain, said), how)
    assert all(one.anatomy is not None for one in (*plain, *found))
    for one, before, kept in zip(found, plain, said, strict=True):
        assert int(one.source.argmax()) not in (int(before.kept.argmax()), int(kept.argmax()))
        assert not torch.allclose(one.anatomy, before.anatomy, atol=1e-2)  # type: ignore[arg-type]
    enough = invert(made, images[:1], said[:1], how)[0]
    assert torch.allclose(enough.anatomy, plain[0].anatomy, atol=1e-5)  # type: ignore[arg-type]


def others_than(found: Sequence[Inversion], *answers: Array) -> Array:
    """For each slice a sure answer that was given neither to its reconstruction nor among `answers`."""
    given = [{int(one.kept.argmax()), *(int(a[i].argmax()) for a in answers)} for i, one in enumerate(found)]
    return np.eye(4)[[min(set(range(4)) - taken) for taken in given]]


def invert_answers(made: CounterfactualModel, code: Code) -> Array:
    """What the explained model says of the images of a code."""
    return made.probabilities(made.images(*code))


def anatomical() -> CounterfactualModel:
    """The model with a generator that takes anatomy."""
    shape = replace(SHAPE, anatomy=5, tissues=3, anatomy_size=8)
    torch.manual_seed(0)
    return replace(model(), network=CounterfactualNetwork(shape, len(model().names)).eval().requires_grad_(False))


def test_a_slice_whose_phase_flips_on_reconstruction_is_not_explained() -> None:
    """The reason names both phases; the same slice with the model's own answer is explained."""
    made = model()
    images = torch.rand(1, 1, 16, 16) * 2 - 1
    kept = invert(made, images, np.eye(4)[:1], Refinement(steps=0))[0].kept
    right, wrong = np.eye(4)[[int(kept.argmax())]], np.eye(4)[[(int(kept.argmax()) + 1) % 4]]
    assert invert(made, images, right, Refinement(steps=0))[0].reason is None
    reason = invert(made, images, wrong, Refinement(steps=0))[0].reason
    assert reason is not None
    assert PHASES[int(kept.argmax())].value in reason


def test_a_slice_far_from_all_that_is_known_is_not_explained() -> None:
    """Even where its answer is kept."""
    made = replace(model(), farthest=1e-6)
    images = torch.rand(1, 1, 16, 16)
    kept = invert(made, images, np.eye(4)[:1], Refinement(steps=0))[0].kept
    found = invert(made, images, np.eye(4)[[int(kept.argmax())]], Refinement(steps=0))[0]
    assert found.reason is not None
    assert "unlike" in found.reason


def test_fitting_knows_the_black_box_by_its_predictions_alone() -> None:
    """Cloud and directions are set, and position along a direction ranks what the model says."""
    network = CounterfactualNetwork(SHAPE, 7).eval().requires_grad_(False)
    bundle = phase_bundle()
    figures = fit(network, VIEW, bundle, torch.rand(40, 1, 16, 16) * 2 - 1, Fitting(samples=80, images=40))
    whitened = torch.linalg.solve(network.spread, network.directions[0].T)
    assert torch.allclose(whitened.norm(dim=0), torch.ones(7), atol=1e-3)
    assert set(figures) == {"direction auc", "latents", "answers to the latents", "distance"}
    assert figures["latents"] == {"all": 120}
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert bool(network.mean.abs().sum() > 0)


def test_each_region_has_directions_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitted to its own latents; a region with too few of them takes what holds everywhere."""
    shape = replace(SHAPE, anatomy=len(Tissue), tissues=len(Tissue), anatomy_size=8)
    torch.manual_seed(0)
    network = CounterfactualNetwork(shape, 7, len(Region)).eval().requires_grad_(False)
    named = [Region.THORAX] * 20 + [Region.ABDOMEN] * 40
    monkeypatch.setattr("inference.counterfactual.fitting.regions_of", lambda shares: [named.pop(0) for _ in shares])
    monkeypatch.setattr("inference.counterfactual.fitting.ENOUGH", 30)
    figures = fit(network, VIEW, phase_bundle(), torch.rand(60, 1, 16, 16) * 2 - 1, Fitting(images=60))
    assert figures["latents"] == {"all": 60, "thorax": 60, "abdomen": 40, "elsewhere": 60}
    everywhere, thorax, abdomen, elsewhere = network.directions
    assert torch.equal(everywhere, thorax)
    assert torch.equal(everywhere, elsewhere)
    assert not torch.allclose(everywhere, abdomen, atol=1e-3)


def test_a_slice_lies_where_most_of_its_organs_do() -> None:
    """A little of an organ at the edge says nothing."""
    shares = torch.zeros(4, len(Tissue), 16, 16)
    shares[0, Tissue.LEFT_HEART, 4:8] = 1.0
    shares[0, Tissue.LIVER, 0:2] = 1.0
    shares[1, Tissue.CORTEX, 4:8] = 0.5
    shares[2, Tissue.LIVER, 0, 0] = 0.9
    shares[3, Tissue.ARTERY] = 1.0
    assert regions_of(shares) == [Region.THORAX, Region.ABDOMEN, Region.ELSEWHERE, Region.ELSEWHERE]


def test_a_bundle_keeps_generator_cloud_and_directions(tmp_path: Path) -> None:
    """Written in half precision and read back: the same images, the same steps, nearly."""
    bundle = generator_bundle()
    save_bundle(tmp_path / "generator", bundle.card, bundle.module)
    again = load_bundle(tmp_path / "generator")
    one, other = (CounterfactualModel.of(b, phase_bundle()) for b in (bundle, again))
    latents = torch.randn(1, 3, 6)
    assert torch.allclose(one.images(latents), other.images(latents), atol=2.0)
    assert np.allclose(one.step("arterial"), other.step("arterial"), atol=1e-2)


@pytest.mark.parametrize(
    ("answer", "target", "names"),
    [
        (Phase.ARTERIAL, Phase.PORTAL_VENOUS, ("portal venous", "arterial > portal venous")),
        (Phase.DELAYED, Phase.PORTAL_VENOUS, ("portal venous", "delayed > portal venous")),
        (Phase.UNENHANCED, Phase.DELAYED, ("delayed",)),
    ],
)
def test_neighbours_have_a_second_way(answer: Phase, target: Phase, names: tuple[str, ...]) -> None:
    """The target's own direction comes first; between neighbours there is the pair's."""
    assert routes(answer, target) == names


def test_the_way_that_reaches_the_target_is_shown() -> None:
    """The pair's where it alone flips the answer; the target's own where both do as steadily, or neither."""
    made = model()
    inverted = invert(made, torch.rand(1, 1, 16, 16) * 2 - 1, np.eye(4)[1:2], Refinement(steps=0))[0]

    def answering(reaching: frozenset[str]) -> CounterfactualModel:
        """A model whose answer is portal venous ahead of the start, along some directions."""
        start = made.images(inverted.latents[None], None)[0]
        images = {
            name: walk(made, inverted.latents, name).hounsfield[-1]
            for name in routes(Phase.ARTERIAL, Phase.PORTAL_VENOUS)
        }

        def logits(hounsfield: np.ndarray) -> np.ndarray:
            found = np.zeros((len(hounsfield), 4))
            found[:, 1] = 0.5
            along = [name for name, image in images.items() if np.allclose(hounsfield[-1], image, atol=1e-3)]
            if set(along) & reaching:
                ahead = [not np.allclose(image, start.numpy(), atol=1e-3) for image in hounsfield]
                found[:, 2] = np.array(ahead, float)
            return found

        return replace(made, predictor=Predictor(VIEW.grid, logits))

    for reaching, shown_way in (
        (set(), "portal venous"),
        ({"portal venous"}, "portal venous"),
        ({"arterial > portal venous"}, "arterial > portal venous"),
        ({"portal venous", "arterial > portal venous"}, "portal venous"),
    ):
        found = towards(answering(frozenset(reaching)), inverted, Phase.PORTAL_VENOUS)
        assert found.direction == shown_way
        assert (found.flip_sd is not None) == bool(reaching)


def test_of_the_ways_that_reach_the_target_the_nearest_steady_one_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever region it was learned from; a way that reaches it comes before a steadier one that does not."""
    made = model()
    inverted = invert(made, torch.rand(1, 1, 16, 16) * 2 - 1, np.eye(4)[1:2], Refinement(steps=0))[0]
    plain = walk(made, inverted.latents, "portal venous")
    steps = np.array(STEPS_SD)
    steady, shaky = np.where(steps > 0, steps, steps - 1.0), np.where(steps > 0, 2.0 - steps / 9.0, 0.1 * steps)

    def shown_of(rising: dict[tuple[str, Region], np.ndarray]) -> tuple[str, Region]:
        def walked(_: object, __: object, way: str, ___: object, ____: object, region: Region) -> Walk:
            target = rising.get((way, region), 0.01 * steps)
            logits = np.stack([np.zeros(13), np.ones(13), target, np.zeros(13)], axis=1)
            return replace(plain, direction=way, region=region, logits=logits)

        monkeypatch.setattr("inference.counterfactual.series.walk", walked)
        monkeypatch.setattr(CounterfactualModel, "regions_of", lambda *_: (Region.ALL, Region.THORAX))
        found = towards(made, inverted, Phase.PORTAL_VENOUS)
        return found.direction, found.region

    pair, own = "arterial > portal venous", "portal venous"
    assert shown_of({}) == (own, Region.ALL)
    assert shown_of({(own, Region.ALL): shaky}) == (own, Region.ALL)
    assert shown_of({(own, Region.THORAX): shaky}) == (own, Region.THORAX)
    assert shown_of({(own, Region.ALL): shaky, (pair, Region.THORAX): steady}) == (pair, Region.THORAX)
    assert shown_of({(own, Region.ALL): 0.5 * steady, (pair, Region.ALL): steady}) == (pair, Region.ALL)
    assert shown_of({(own, Region.ALL): steady, (pair, Region.ALL): 0.3 * steady}) == (own, Region.ALL)


def test_refinement_leaves_tissues_where_they_were_read() -> None:
    """The texture beside them and w are improved, the same w for all blocks."""
    made = anatomical()
    images = torch.rand(2, 1, 16, 16) * 2 - 1
    start, anatomy = read = made.network.encoder.code(images)
    latents, refined_anatomy = refined(made, images, read, Refinement(steps=5), with_texture=True)
    assert anatomy is not None
    assert refined_anatomy is not None
    assert torch.equal(refined_anatomy[:, :3], anatomy[:, :3])
    assert not torch.equal(refined_anatomy[:, 3:], anatomy[:, 3:])
    assert not torch.equal(latents, start)
    assert torch.equal(latents, latents[:, :1].expand_as(latents))


def test_a_series_gives_a_walk_or_the_reason_why_not(tmp_path: Path) -> None:
    """Facts and images are written; where no slice can be reconstructed only the reason is."""
    made = model()
    found = counterfactual(volume(), made, [1, 2], refinement=Refinement(steps=0))
    assert found.slice_index in (1, 2)
    assert (found.walk is None) == (found.reason is not None)
    told = facts(replace(found, walk=None, reason="no"))
    assert "steps" not in told
    assert "SYNTHETIC" in told["note"]
    assert [path.name for path in write(replace(found, walk=None), tmp_path)] == ["counterfactual.json"]
    with pytest.raises(ValueError, match="no slice"):
        counterfactual(volume(), made, [])


def shown(language: str = "en") -> tuple[Counterfactual, Caption]:
    made = model()
    moved = walk(made, made.network.encoder(torch.rand(1, 1, 16, 16))[0], "arterial > portal venous")
    found = Counterfactual(2, Phase.ARTERIAL, Phase.PORTAL_VENOUS, moved, None, 9.0, 0.1, 1.0, made.card)
    return found, replace(CAPTION, language=language)


@pytest.mark.parametrize(("language", "words"), [("en", "SYNTHETIC"), ("de", "SYNTHETISCH")])
def test_every_frame_says_that_it_is_synthetic(language: str, words: str) -> None:
    """Above the images, and twice within each of them; and no text leaves the frame."""
    found, caption = shown(language)
    assert found.walk is not None
    for step in range(len(STEPS_SD)):
        page = laid_out(found, found.walk, step, caption)
        said = [(text, box) for text, box in page.placed if words in text]
        assert sum(box[1] > 80 for _, box in said) == 4
        assert any("–" in text for text, _ in said)
        assert all(b[0] >= 0 and b[2] <= WIDTH and b[1] >= 0 and b[3] <= HEIGHT for _, b in page.placed)


def test_there_is_a_frame_for_each_step_and_none_without_a_walk() -> None:
    """13 steps, 13 frames; the strip shows them side by side."""
    found, caption = shown()
    made = frames(found, caption)
    assert len(made) == len(STEPS_SD) == 13
    assert {picture.shape for picture in made} == {(HEIGHT, WIDTH, 3)}
    assert frames(replace(found, walk=None), caption) == ()
    assert strip(found).shape[1] > 13 * 160
    with pytest.raises(ValueError, match="no walk"):
        strip(replace(found, walk=None))


def test_shares_of_change_are_told_by_mass_and_by_rank() -> None:
    """All of it inside, none of it, and half; the hottest pixels are as many as the organ has."""
    organ = np.zeros((4, 4), np.float32)
    organ[:2] = 1.0
    assert share_in(organ, organ) == 1.0
    assert share_in(1 - organ, organ) == 0.0
    assert share_in(np.ones((4, 4), np.float32), organ) == 0.5
    assert share_of_hottest(organ * 5, organ) == 1.0
    assert share_of_hottest(1 - organ, organ) == 0.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_the_frechet_distance_is_nought_for_the_same_and_grows_with_a_shift(seed: int) -> None:
    """A shift of all features by d adds its square for each feature."""
    rng = np.random.default_rng(seed)
    one = rng.normal(size=(200, 3))
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-4)
    assert frechet_distance(one, one + 2.0) == pytest.approx(12.0, abs=1e-3)


def test_the_interval_draws_whole_patients() -> None:
    """Twenty equal slices of each of two patients are two samples, not forty: the interval is wide."""
    values = np.repeat([0.0, 1.0], 20)
    found = bootstrapped(values, np.repeat([0, 1], 20), lambda v: float(np.mean(v)))
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_the_predictor_gives_the_networks_own_logits() -> None:
    """In batches or not."""
    bundle = phase_bundle()
    slices = np.random.default_rng(0).normal(0, 100, (70, 32, 32)).astype(np.float32)
    found = predictor_of(bundle).logits(slices)
    assert found.shape == (70, 4)
    assert np.allclose(found[66:], predictor_of(bundle).logits(slices[66:]), atol=1e-5)


def walk_of(*target_logits: float) -> Walk:
    """From -1 to 2 standard deviations; the model answers the target where its logit is above nought."""
    logits = np.zeros((len(target_logits), 4))
    logits[:, 2] = target_logits
    steps = tuple(float(step) for step in np.linspace(-1.0, 2.0, len(target_logits)))
    return Walk("portal venous", Region.ALL, 2, steps, np.zeros((len(steps), 2, 2), np.float32), logits)


def test_an_answer_that_stays_goes_before_one_that_comes_sooner_and_goes() -> None:
    """Then steadiness counts, then how soon the answer comes; and any that comes goes before none."""
    stays, goes, never = walk_of(-3, -2, 0, -1, 1, 2, 3), walk_of(-3, -2, -1, 1, 2, 3, -1), walk_of(*[-1.0] * 6, -0.5)
    sooner, unsteady = walk_of(-3, -2, -1, 1, 2, 3, 4), walk_of(9, -2, -1, 1, 9, 8, 7)
    assert [w.holds for w in (stays, goes, never, sooner, unsteady)] == [True, False, False, True, True]
    assert goes.flip_sd == sooner.flip_sd == unsteady.flip_sd == 0.5
    assert stays.flip_sd == 1.0
    assert sorted((never, goes, unsteady, stays, sooner), key=merit) == [never, goes, unsteady, stays, sooner]
