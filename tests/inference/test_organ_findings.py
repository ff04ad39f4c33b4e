"""The organs beside the phase network: found, measured, heard; they withhold an answer and never give one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from organ_volumes import GRID, SPACING_MM, block_masks, blocks, organ_bundle
from test_judge import OPTIONS

from inference.errors import CannotExplain, InvalidBundle
from inference.explain.organs import explain_organs
from inference.findings import Findings, OrganVote
from inference.judge import explain_slices, judge
from inference.models import NETWORKS, Bundle, ModelCard
from inference.networks.classifier import PhaseClassifier
from inference.organ_findings import MOST_SLICES, SURE, contradicts, heard, look, organs_on_grid
from inference.phantom.organs import Organ
from inference.phases import Phase
from inference.preprocessing import place
from inference.segment import OrganMasks
from inference.volume import Volume

HU = {Organ.AORTA: 170.0, Organ.LIVER: 105.0, Organ.PORTAL_VEIN: 140.0}
FINDER = organ_bundle(HU)


@pytest.fixture(scope="module")
def phase_bundle() -> Bundle:
    """An untrained phase network that takes everything for a trunk."""
    torch.manual_seed(5)
    network = PhaseClassifier(3, 4, (1, 1, 1, 1)).eval()
    with torch.no_grad():
        network.scope.bias.fill_(20.0)
        network.head.weight.mul_(30.0)
    card = ModelCard("tiny", "0", "phase", "phase-classifier", "0" * 64, "tests", "all", "none", options=OPTIONS)
    return Bundle(card, network.requires_grad_(False))


def findings(phase: Phase | None, confidence: float = 0.8) -> Findings:
    """What a phase network might have said."""
    probabilities = {p: confidence if p is (phase or Phase.DELAYED) else (1 - confidence) / 3 for p in Phase}
    card = ModelCard("p", "0", "phase", "x", "0" * 64, "", "", "")
    return Findings(phase, confidence, probabilities, None, None if phase else "why", (0,), (), (), {}, card)


def voted(phase: Phase, confidence: float, other: Phase | None = None, rest: float = 0.0) -> OrganVote:
    """A vote with `confidence`, `rest` for another phase and what is left for the two that remain."""
    left = [p for p in Phase if p not in (phase, other)]
    shares = dict.fromkeys(left, (1.0 - confidence - rest) / len(left)) | {phase: confidence}
    return OrganVote(shares if other is None else shares | {other: rest}, ("aorta", "liver"))


def test_organs_are_found_where_they_are() -> None:
    """HU within a few units, masks on the pixels of the source, a vote, a map of the organ that told most."""
    volume = blocks(HU, slices=8)
    seen = look(volume, FINDER)
    assert seen is not None
    measured = {found.organ: found.median_hu for found in seen.measurements}
    assert measured == pytest.approx({"aorta": 170, "liver": 105, "portal vein": 140}, abs=4)
    truth = block_masks(8).labels
    overlap = ((seen.masks.labels == truth) & (truth > 0)).sum() / (truth > 0).sum()
    assert overlap > 0.6  # pixels of 4 mm
    assert seen.vote is not None
    assert seen.map is not None
    assert (seen.map.target, seen.map.values.shape) == (seen.vote.telling[0], volume.shape)


def test_long_series_are_segmented_on_some_slices_and_on_the_key_slices() -> None:
    """At most MOST_SLICES besides, each read twice; the indices are the volume's."""
    seen = look(blocks(HU, slices=100), FINDER, key_slices=(3, 50), with_map=False)
    assert seen is not None
    assert {3, 50} <= set(seen.masks.slice_indices)
    assert len(seen.masks.slice_indices) <= MOST_SLICES + 2
    assert list(seen.masks.slice_indices) == sorted(seen.masks.slice_indices)
    assert seen.map is None


@pytest.mark.parametrize(
    "image",
    [
        np.full((5, 40, 40), -1000.0, np.float32),
        np.full((2, 40, 40), 40.0, np.float32),
        np.full((5, 1, 1), 40.0, np.float32),
        np.full((5, 37, 53), np.nan, np.float32),
    ],
    ids=["air", "two slices", "one pixel", "nothing"],
)
def test_what_cannot_be_segmented_has_no_organs(image: np.ndarray) -> None:
    """And no error."""
    assert look(Volume.from_array(image, SPACING_MM), FINDER) is None


@pytest.mark.parametrize("size", [121, 97, 130])
def test_sizes_that_halve_badly_are_segmented_as_well(size: int) -> None:
    """Rows and columns need not be divisible by anything."""
    seen = look(blocks(HU, size=size), FINDER)
    assert seen is not None
    assert len(seen.measurements) == 3


def test_no_organ_at_all_is_no_vote_and_no_map() -> None:
    """A network that finds nothing leaves the findings as they were, but for the masks."""
    seen = look(blocks({}), FINDER)
    assert seen is not None
    assert (seen.measurements, seen.vote, seen.map) == ((), None, None)
    found = heard(findings(Phase.ARTERIAL), seen)
    assert (found.phase, found.reason, found.organs) == (Phase.ARTERIAL, None, ())


def test_a_sure_vote_for_another_phase_withholds_the_answer() -> None:
    """The reason names both phases; the network's own numbers stay as they are."""
    seen = look(blocks(HU), FINDER)
    assert seen is not None
    said = findings(Phase.DELAYED)
    found = heard(said, replace(seen, vote=voted(Phase.PORTAL_VENOUS, SURE, Phase.DELAYED, 0.01)))
    assert found.phase is None
    assert found.reason == (
        "The images as a whole look delayed, but the measured attenuation of the organs is that of the portal venous "
        "phase."
    )
    assert found.probabilities == said.probabilities
    assert found.organ_vote is not None
    assert found.organ_vote.contradicts


@pytest.mark.parametrize(
    "vote",
    [
        voted(Phase.DELAYED, 0.99),
        voted(Phase.PORTAL_VENOUS, SURE - 0.01, Phase.DELAYED, 0.0),
        None,
    ],
    ids=["agrees", "unsure", "no vote"],
)
def test_any_other_vote_leaves_the_answer_as_it_was(vote: OrganVote | None) -> None:
    """Agreement, doubt and silence change nothing."""
    seen = look(blocks(HU), FINDER)
    assert seen is not None
    found = heard(findings(Phase.DELAYED), replace(seen, vote=vote))
    assert (found.phase, found.reason, found.confidence) == (Phase.DELAYED, None, 0.8)


def test_an_indeterminate_series_stays_so() -> None:
    """The organs never give an answer that the network withheld, and its reason stands."""
    seen = look(blocks(HU), FINDER)
    assert seen is not None
    found = heard(findings(None), replace(seen, vote=voted(Phase.ARTERIAL, 0.99)))
    assert (found.phase, found.reason) == (None, "why")


def test_only_the_opposite_is_a_contradiction() -> None:
    """A vote that is sure of the same phase is none."""
    assert contradicts(Phase.UNENHANCED, voted(Phase.ARTERIAL, SURE, Phase.UNENHANCED, 0.0))
    assert not contradicts(Phase.ARTERIAL, voted(Phase.ARTERIAL, SURE))


def test_the_judgement_has_the_organs_in_it(phase_bundle: Bundle) -> None:
    """Measurements, masks, vote and model; without an organ model none of them; the phase's numbers are the same."""
    volume = blocks(HU, slices=9)
    plain, found = judge(volume, phase_bundle), judge(volume, phase_bundle, organs=FINDER)
    assert [o.organ for o in found.organs] == ["aorta", "liver", "portal vein"]
    assert found.organ_model == FINDER.card
    assert set(found.key_slices) <= set(found.organ_masks.slice_indices)  # type: ignore[union-attr]
    assert found.probabilities == plain.probabilities
    assert (plain.organs, plain.organ_vote, plain.organ_masks, plain.organ_model) == ((), None, None, None)
    assert all(score.organ_share is None for score in plain.map_scores.values())
    assert all(0.0 <= score.organ_share <= 1.0 for score in found.map_scores.values())  # type: ignore[operator]


def test_maps_are_scored_by_the_organs_of_their_own_slices(phase_bundle: Bundle) -> None:
    """Organs everywhere: all of the map lies in them; organs on other slices only: no score."""
    volume = replace(blocks(HU), pixel_spacing_mm=(4.0, 4.0))
    everywhere = OrganMasks((Organ.LIVER,), np.ones((6, 120, 120), np.uint8), tuple(range(6)))
    _, scores = explain_slices(volume, phase_bundle, (1, 4), Phase.ARTERIAL, ("sam",), everywhere)
    assert scores["sam"].organ_share == pytest.approx(1.0, abs=0.05)
    elsewhere = OrganMasks((Organ.LIVER,), np.ones((2, 120, 120), np.uint8), (0, 2))
    _, scores = explain_slices(volume, phase_bundle, (1, 4), Phase.ARTERIAL, ("sam",), elsewhere)
    assert scores["sam"].organ_share is None


def test_masks_lie_on_the_grid_as_they_lie_on_the_source() -> None:
    """The share of the grid that an organ covers is its area over the field's; turned volumes are turned back."""
    volume, masks = blocks(HU), block_masks()
    placements = [place(volume.slice(i), volume.pixel_spacing_mm) for i in (0, 1)]
    found = organs_on_grid(masks, (0, 1), volume, placements, GRID)
    assert found is not None
    field_mm2 = (GRID.size * GRID.pixel_mm) ** 2
    assert found.mean() == pytest.approx((20 * 20 + 35 * 45 + 20 * 20) / field_mm2, rel=0.1)
    turned = replace(volume, flip_rows=True)
    flipped = organs_on_grid(masks, (0,), turned, [place(turned.upright(volume.slice(0)), (1.0, 1.0))], GRID)
    assert flipped is not None
    assert flipped[0].sum() == pytest.approx(found[0].sum(), rel=0.1)
    empty = replace(masks, labels=np.zeros_like(masks.labels))
    assert organs_on_grid(empty, (0,), volume, placements[:1], GRID) is None


def test_a_card_without_a_layer_makes_no_map() -> None:
    """The organs are measured all the same."""
    seen = look(blocks(HU), organ_bundle(HU, layers={}))
    assert seen is not None
    assert (len(seen.measurements), seen.map) == (3, None)


def test_a_phase_model_is_no_organ_model(phase_bundle: Bundle) -> None:
    """It is refused before anything is read."""
    with pytest.raises(InvalidBundle, match="not for segmentation"):
        look(blocks(HU), phase_bundle)


def test_every_organ_is_explained_and_written(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A sheet, raw maps of both scores, and facts that name what is not there."""
    finder = organ_bundle(HU | {Organ.PORTAL_VEIN: 295.0})
    found = explain_organs(blocks(HU), finder, maps=("grad-cam",))
    assert [each.organ for each in found.organs] == [Organ.AORTA, Organ.LIVER]
    assert found.absent == ("portal vein",)
    sheet, arrays, facts = found.write(tmp_path)
    assert sheet.stat().st_size > 1000
    kept = np.load(arrays)
    assert set(kept) >= {"aorta/grad-cam@seen/prob", "aorta/grad-cam@seen/logit", "liver/mask", "liver/hounsfield"}
    assert "Not for diagnostic use" in facts.read_text(encoding="utf-8")


def test_an_organ_that_is_not_known_is_not_explained() -> None:
    """The names that are known are said; so is that a network has one mask only."""
    with pytest.raises(ValueError, match="aorta, liver, portal vein"):
        explain_organs(blocks(HU), FINDER, organ="heart")
    with pytest.raises(CannotExplain, match="one mask only"):
        explain_organs(blocks(HU), FINDER, mask="first")


@pytest.mark.parametrize(("mask", "layer"), [("first", "aspp1"), ("second", "aspp2"), (None, "aspp2")])
def test_either_mask_of_a_double_unet_is_explained_at_its_own_layers(mask: str | None, layer: str) -> None:
    """The first mask never runs the second half of the network; the card names layers of that half."""
    options = {**FINDER.card.options, "windows": [[-100.0, 300.0]], "width": 2, "layers": {"grad-cam": "aspp2"}}
    torch.manual_seed(3)
    network = NETWORKS["double-unet"](options).eval().requires_grad_(False)
    with torch.no_grad():
        for head in (network.head1, network.head2):
            head.bias.copy_(torch.tensor([0.0, 9.0, 0.0, 0.0]))
    bundle = Bundle(replace(FINDER.card, network="double-unet", options=options), network)
    found = explain_organs(blocks(HU), bundle, maps=("grad-cam",), mask=mask)
    assert found.mask == (mask or "second")
    assert [each.organ for each in found.organs] == [Organ.AORTA]
    assert {one.layer for made in found.organs[0].maps for one in made} == {layer}
