"""The organs' page: every organ with its HU, nothing outside its room, the same in both languages."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from organ_volumes import blocks, organ_bundle

from inference.findings import Findings
from inference.models import ModelCard
from inference.organ_findings import heard, look
from inference.organ_words import COLOURS, ORGAN_WORDS
from inference.phantom.organs import Organ
from inference.phases import Phase
from inference.rendering.caption import Caption
from inference.rendering.crop import Crop
from inference.rendering.organ_page import SIZE, border, laid_out, organ_page, telling_slices
from inference.segment import OrganMasks
from inference.volume import Volume

HU = {Organ.AORTA: 170.0, Organ.LIVER: 105.0, Organ.PORTAL_VEIN: 140.0}
VOLUME = blocks(HU, slices=8)


def found(phase: Phase | None = Phase.PORTAL_VENOUS) -> Findings:
    card = ModelCard("p", "1.0", "phase", "x", "0" * 64, "", "", "")
    named = phase or Phase.PORTAL_VENOUS
    probabilities = {p: 0.85 if p is named else 0.05 for p in Phase}
    said = Findings(phase, 0.85, probabilities, None, None, (2,), (), (), {}, card)
    seen = look(VOLUME, organ_bundle(HU))
    assert seen is not None
    return heard(said, seen)


def caption(language: str) -> Caption:
    return Caption("4", "ABDOMEN 5.0 B31f", datetime(2026, 1, 2, 3, 4, tzinfo=UTC), language)


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_organ_stands_there_with_its_hu(language: str) -> None:
    """By its name in the language, and the page says what it is for."""
    page = laid_out(found(), VOLUME, caption(language))
    said = [text for text, _ in page.placed]
    for organ in found().organs:
        assert ORGAN_WORDS[language].name(organ.organ) in said
        assert f"{organ.median_hu:.0f}" in said
    assert sum("iagnos" in text.lower() for text in said) >= 2


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_text_leaves_the_page_or_lies_on_another(language: str) -> None:
    """The top band stays free, for viewers cover it."""
    page = laid_out(
        replace(found(), organ_vote=replace(found().organ_vote, contradicts=True)), VOLUME, caption(language)
    )  # type: ignore[type-var]
    boxes = [box for text, box in page.placed if text != ORGAN_WORDS[language].name("R")]
    for left, top, right, bottom in boxes:
        assert min(left, top - 60, SIZE - right, SIZE - bottom) >= 0
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            apart = one[2] <= other[0] + 1 or other[2] <= one[0] + 1 or one[3] <= other[1] + 3 or other[3] <= one[1] + 3
            assert apart, (one, other)


def test_a_contradiction_is_said_on_the_page() -> None:
    """And agreement as well."""
    said = found(None)
    assert said.organ_vote is not None
    said = replace(said, organ_vote=replace(said.organ_vote, contradicts=True))
    texts = [text for text, _ in laid_out(said, VOLUME, caption("en")).placed]
    assert "CONTRADICTS THE NETWORK" in texts
    agreed = found(Phase.PORTAL_VENOUS)
    assert "as the network says" in [text for text, _ in laid_out(agreed, VOLUME, caption("en")).placed]


def test_an_undecided_vote_is_no_headline() -> None:
    """Nobody reads a phase in large letters that is little more likely than another."""
    said = found()
    assert said.organ_vote is not None
    shares = {Phase.DELAYED: 0.57, Phase.PORTAL_VENOUS: 0.43, Phase.UNENHANCED: 0.0, Phase.ARTERIAL: 0.0}
    said = replace(said, organ_vote=replace(said.organ_vote, probabilities=shares))
    texts = [text for text, _ in laid_out(said, VOLUME, caption("en")).placed]
    assert {"Organs: undecided", "rather delayed, 57 %"} <= set(texts)
    assert not any("DELAYED" in text for text in texts)


def test_organs_are_drawn_in_their_colours() -> None:
    """Each organ's colour is on the page more often than its swatch alone would put it there."""
    pixels = organ_page(found(), VOLUME, caption("en"))
    for organ in ("aorta", "liver", "portal vein"):
        assert (pixels == COLOURS[organ]).all(axis=-1).sum() > 500


def test_without_a_vote_or_a_map_the_page_is_drawn_as_well() -> None:
    """It says that there is no vote."""
    page = laid_out(replace(found(), organ_vote=None, organ_map=None), VOLUME, caption("en"))
    assert "too few organs for a vote" in [text for text, _ in page.placed]


def test_without_organs_there_is_no_page() -> None:
    """Nobody is shown an empty table."""
    with pytest.raises(ValueError, match="no organs"):
        organ_page(replace(found(), organs=()), VOLUME, caption("en"))


def test_the_slices_that_are_shown_complement_each_other() -> None:
    """The second is the one that shows what the first does not."""
    labels = np.zeros((4, 10, 10), np.uint8)
    labels[0, :2, :2] = 1
    labels[1, :4, :4] = 1
    labels[1, 5:7, 5:7] = 2
    labels[3, :5, :5] = 3
    masks = OrganMasks((Organ.AORTA, Organ.LIVER, Organ.SPLEEN), labels, (0, 5, 10, 15))
    assert telling_slices(masks, 3) == [5, 15]
    assert telling_slices(replace(masks, labels=np.zeros_like(labels)), 2) == []


def test_a_border_lies_within_its_mask() -> None:
    """At the page's resolution; nothing for an empty mask."""
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    drawn = border(mask, Crop(0, 0, 20, 20), (200, 200))
    assert drawn[50:150, 50:150].sum() == drawn.sum() > 300
    assert not drawn[60:140, 60:140].any()
    assert not border(np.zeros_like(mask), Crop(0, 0, 20, 20), (50, 50)).any()


def test_a_volume_that_is_turned_is_drawn_upright() -> None:
    """Anterior is up and the patient's right is left, whatever way the source is stored."""
    seen = found()
    masks, shown = seen.organ_masks, seen.organ_map
    assert masks is not None
    assert shown is not None
    turned = Volume(
        VOLUME.slice_ids, VOLUME.positions_mm, VOLUME.shape, VOLUME.pixel_spacing_mm,
        lambda index: np.ascontiguousarray(VOLUME.read(index)[::-1, ::-1]), flip_rows=True, flip_columns=True,
    )  # fmt: skip
    mirrored = replace(
        seen,
        organ_masks=replace(masks, labels=np.ascontiguousarray(masks.labels[:, ::-1, ::-1])),
        organ_map=replace(shown, made=np.ascontiguousarray(shown.values[::-1, ::-1])),
    )
    np.testing.assert_array_equal(organ_page(mirrored, turned, caption("en")), organ_page(seen, VOLUME, caption("en")))
