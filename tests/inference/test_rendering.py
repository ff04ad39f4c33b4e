"""Pictures say what was found, let the anatomy through, and never print one text over another."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference.findings import Findings, HeaderOpinion, MapScore, Seconds, SliceMap
from inference.models import ModelCard
from inference.phases import Phase
from inference.rendering import Caption, band_height, colour_bar, key_slice, overlay, summary, window
from inference.rendering.crop import around_body, cut
from inference.rendering.summary import laid_out
from inference.rendering.wording import WORDS
from inference.volume import Volume

MADE_AT = datetime(2026, 11, 20, 14, 31, tzinfo=UTC)
CARD = ModelCard("phase-net", "1.2.3", "phase", "classifier", "3fa9c1d2e4b5a6b7" * 4, "", "", "")


def a_volume(slices: int = 5, shape: tuple[int, int] = (96, 128)) -> Volume:
    """A soft disk in air, brighter towards its right end."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    disk = ((rows - shape[0] / 2) / shape[0]) ** 2 + ((columns - shape[1] / 2) / shape[1]) ** 2 < 0.16
    image = np.where(disk, columns * 150.0 / shape[1], -1000.0).astype(np.float32)
    return Volume.from_array(np.stack([image] * slices))


def some_findings(volume: Volume, phase: Phase | None = Phase.PORTAL_VENOUS, **changes: object) -> Findings:
    """An answer with two kinds of map on three slices, hot in one corner of the body."""
    values = np.zeros(volume.shape, np.float32)
    values[volume.shape[0] // 2 :, : volume.shape[1] // 2] = 2.0
    keys = tuple(range(min(3, len(volume))))
    found = Findings(
        phase=phase,
        confidence=0.91,
        probabilities={p: 0.91 if p is (phase or Phase.ARTERIAL) else 0.03 for p in Phase},
        seconds=Seconds(71.6, 60.2, 88.0),
        reason=None if phase else "Half of the slices contradict the others.",
        key_slices=keys,
        slices=(),
        maps=tuple(SliceMap(i, m, "layer", "portal venous", values, 2.0) for i in keys for m in ("sam", "grad-cam")),
        map_scores={"sam": MapScore(0.2, 0.8, 0.1, 0.6, False), "grad-cam": MapScore(0.6, 0.3, 0.9, None, True)},
        model=CARD,
    )
    return replace(found, **changes)


def a_caption(**changes: object) -> Caption:
    return replace(Caption("4", "PORTAL VENOUS 5.0", MADE_AT), **changes)


def texts(findings: Findings, volume: Volume, caption: Caption, size: int = 1024) -> str:
    return "\n".join(text for text, _ in laid_out(findings, volume, caption, size).placed)


@settings(deadline=None)
@given(arrays(np.float32, (3, 4), elements=st.floats(-2000, 3000, width=32)))
def test_a_window_keeps_the_order_of_hounsfield_units(hounsfield: np.ndarray) -> None:
    """Black at the low end, white at the high end, never brighter for fewer HU."""
    grey = window(hounsfield, -100, 200)
    assert (grey[hounsfield <= -100] == 0).all()
    assert (grey[hounsfield >= 200] == 255).all()
    order = np.argsort(hounsfield, axis=None)
    assert (np.diff(grey.ravel()[order].astype(int)) >= 0).all()


def test_a_window_without_width_is_refused() -> None:
    """Nothing could be told apart in it."""
    with pytest.raises(ValueError, match="empty"):
        window(np.zeros((2, 2), np.float32), 40, 40)


@settings(deadline=None)
@given(arrays(np.float32, (4, 5), elements=st.sampled_from([0.0, -1.0, -1e9, np.nan])))
def test_no_evidence_leaves_the_picture_purely_grey(values: np.ndarray) -> None:
    """Zero, negative and undefined values change no pixel."""
    hounsfield = np.linspace(-300, 400, 20, dtype=np.float32).reshape(4, 5)
    np.testing.assert_array_equal(overlay(hounsfield, values, 1.0), overlay(hounsfield, None, 1.0))


def test_opacity_grows_with_heat_and_the_hottest_lets_the_anatomy_through() -> None:
    """More heat is further from grey; under full heat black and white are still far apart."""
    grey = np.full((1, 50), 50, np.float32)
    heat = np.linspace(0, 1, 50, dtype=np.float32)[None]
    drawn = overlay(grey, heat, 1.0).astype(int)
    away = np.abs(drawn - drawn[:, :1]).sum(-1)[0]
    assert (np.diff(np.convolve(away, np.ones(5), "valid")) > 0).all()
    black_and_white = overlay(np.array([[-500, 500]], np.float32), np.ones((1, 2), np.float32), 1.0).astype(int)
    assert np.abs(black_and_white[0, 1] - black_and_white[0, 0]).min() > 60


DEUTERANOPIA = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
PROTANOPIA = np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]])


@pytest.mark.parametrize("vision", [DEUTERANOPIA, PROTANOPIA], ids=["deuteranopia", "protanopia"])
def test_heat_is_told_from_grey_with_any_colour_vision(vision: np.ndarray) -> None:
    """Machado, Oliveira and Fernandes, 2009: seen through either deficiency, full heat is not a grey."""
    seen = np.clip(vision @ (colour_bar(64, 1)[0, -1] / 255.0), 0, 1)
    assert seen.max() - seen.min() > 0.4
    cold = np.clip(vision @ (colour_bar(64, 1)[0, 0] / 255.0), 0, 1)
    assert cold.max() - cold.min() < 0.05


@settings(max_examples=15, deadline=None)
@given(rows=st.integers(4, 700), columns=st.integers(4, 700), flips=st.tuples(st.booleans(), st.booleans()))
def test_a_key_slice_lies_unturned_at_the_top_left(rows: int, columns: int, flips: tuple[bool, bool]) -> None:
    """Whatever the orientation, pixel (r, c) shows source pixel (r // scale, c // scale), and the band begins below."""
    volume = replace(a_volume(3, (rows, columns)), flip_rows=flips[0], flip_columns=flips[1])
    findings = some_findings(volume)
    found = key_slice(findings, volume, 1, "sam", a_caption())
    assert found.image_columns == columns * found.scale >= 512
    assert found.scale == 1 or columns * (found.scale - 1) < 512
    assert found.image_rows == rows * found.scale
    assert found.pixels.shape == (found.image_rows + band_height(found.image_columns), found.image_columns, 3)
    drawn = found.pixels[: found.image_rows : found.scale, :: found.scale]
    quiet = findings.maps[0].values == 0
    expected = np.repeat(window(volume.slice(1), -120, 260)[..., None], 3, -1)
    np.testing.assert_array_equal(drawn[quiet], expected[quiet])
    assert (drawn[~quiet] != expected[~quiet]).any(-1).all()


def test_a_map_that_was_not_made_has_no_picture() -> None:
    """A KeyError names map and slice."""
    volume = a_volume()
    with pytest.raises(KeyError, match="saliency map of slice 1"):
        key_slice(some_findings(volume), volume, 1, "saliency", a_caption())


def test_the_summary_says_everything() -> None:
    """Phase, certainty, all probabilities, seconds, slices, methods, checks, series, model, weights, time, warning."""
    volume = a_volume()
    said = texts(some_findings(volume), volume, a_caption())
    expected = ("PORTAL VENOUS", "91 % sure", "3 %", "about 72 s after injection (60–88 s)", "slice 1 of 5", "SAM")
    expected += ("Grad-CAM", "map passes its checks", "WEAK MAP", "Series 4 · PORTAL VENOUS 5.0", "phase-net 1.2.3")
    expected += ("3fa9c1d2e4b5", "2026-11-20 14:31 UTC", "NOT FOR DIAGNOSTIC USE", *Phase)
    assert [text for text in expected if text not in said] == []


def test_an_uncertain_answer_is_called_so() -> None:
    """Indeterminate in capitals, the likeliest phase, the reason, and the contradiction between header and image."""
    volume = a_volume()
    changes = {"disagreement": "header: no contrast; image: arterial", "header": HeaderOpinion(False, None, ())}
    said = texts(some_findings(volume, None, **changes), volume, a_caption())
    for text in ("INDETERMINATE", "most likely arterial, 91 %", "Half of the slices", "header says no contrast"):
        assert text in said


def test_german_pages_are_german() -> None:
    """The phase, the certainty and the warning in the language asked for."""
    volume = a_volume()
    said = texts(some_findings(volume), volume, a_caption(language="de"))
    for text in ("PORTALVENÖS", "91 % sicher", "NICHT FÜR DIE DIAGNOSTIK", "Serie 4", "Schicht 1 von 5"):
        assert text in said


@pytest.mark.parametrize("size", [512, 1024])
@pytest.mark.parametrize("language", sorted(WORDS))
@pytest.mark.parametrize("phase", [*Phase, None])
def test_nothing_is_written_where_viewers_lay_their_controls(phase: Phase | None, language: str, size: int) -> None:
    """The top edge is bare, and below it the place of OHIF's cine bar in the middle."""
    volume, unit = a_volume(), size / 1024
    page = laid_out(some_findings(volume, phase), volume, a_caption(language=language), size)
    edge = page.pixels()[: int(80 * unit)]
    assert (edge == edge[0, 0]).all()
    bar = page.pixels()[: int(99 * unit), int(412 * unit) : int(606 * unit)]
    assert (bar == edge[0, 0]).all()


def test_certainty_is_never_complete() -> None:
    """A probability that rounds to 100 % is written as 99 %."""
    volume = a_volume()
    assert "99 % sure" in texts(some_findings(volume, confidence=1.0), volume, a_caption())


long_text = st.text("abcdefgh ÄÖüW−0123", max_size=160)


@settings(max_examples=40, deadline=None)
@given(
    phase=st.sampled_from([*Phase, None]),
    language=st.sampled_from(sorted(WORDS)),
    size=st.sampled_from([512, 1024]),
    keys=st.integers(0, 3),
    reason=st.none() | long_text,
    disagreement=st.none() | long_text,
    description=long_text,
    version=st.sampled_from(["1.0.0", "2026.11.20-a-version-longer-than-any-sane-person-would-write-down-anywhere"]),
)
def test_no_text_covers_another_or_leaves_the_page(
    phase: Phase | None,
    language: str,
    size: int,
    keys: int,
    reason: str | None,
    disagreement: str | None,
    description: str,
    version: str,
) -> None:
    """Any answer, language and size, however long the words: every line has its own room inside the margin."""
    volume = a_volume()
    changes = {"reason": reason, "disagreement": disagreement, "key_slices": tuple(range(keys))}
    findings = some_findings(volume, phase, **changes, model=replace(CARD, version=version))
    page = laid_out(findings, volume, a_caption(series_description=description, language=language), size)
    for text, (left, top, right, bottom) in page.placed:
        assert min(left, top) >= size / 64, text
        assert max(right, bottom) <= size - size / 64, text
    for (one, a), (other, b) in combinations(page.placed, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], f"{one!r} covers {other!r}"


@settings(max_examples=12, deadline=None)
@given(rows=st.integers(1, 300), columns=st.integers(1, 300), level=st.sampled_from([-1000.0, 0.0, np.nan, np.inf]))
def test_a_summary_is_drawn_of_any_slices(rows: int, columns: int, level: float) -> None:
    """One pixel, empty, undefined, all soft tissue: a page all the same."""
    volume = Volume.from_array(np.full((2, rows, columns), level, np.float32), (5.0, 0.4, 2.0))
    assert summary(some_findings(volume), volume, a_caption(), 512).shape == (512, 512, 3)


def test_the_same_findings_give_the_same_picture() -> None:
    """Byte for byte, so that a repeated job makes the same objects."""
    volume = a_volume()
    one, other = (summary(some_findings(volume), volume, a_caption(), 512).tobytes() for _ in range(2))
    assert one == other


@pytest.mark.parametrize("size", [100, 9000])
def test_an_illegible_size_is_refused(size: int) -> None:
    """A summary is drawn where it can be read."""
    volume = a_volume()
    with pytest.raises(ValueError, match="can be drawn"):
        summary(some_findings(volume), volume, a_caption(), size)


def test_a_summary_turns_its_slices_upright() -> None:
    """A slice stored feet-up and mirrored looks like one that is not."""
    volume = a_volume()
    turned = replace(
        volume, read=lambda i: np.ascontiguousarray(volume.read(i)[::-1, ::-1]), flip_rows=True, flip_columns=True
    )
    findings = some_findings(volume)
    mirrored = tuple(replace(m, made=np.ascontiguousarray(m.values[::-1, ::-1])) for m in findings.maps)
    upside_down = summary(replace(findings, maps=mirrored), turned, a_caption(), 512)
    np.testing.assert_array_equal(upside_down, summary(findings, volume, a_caption(), 512))


@settings(deadline=None)
@given(aspect=st.floats(0.4, 3.0), row_mm=st.floats(0.3, 2.0), column_mm=st.floats(0.3, 2.0))
def test_a_crop_holds_the_body_in_true_proportion(aspect: float, row_mm: float, column_mm: float) -> None:
    """Width to height in millimetres is what was asked for, and the body lies inside."""
    hounsfield = np.full((60, 80), -1000, np.float32)
    hounsfield[20:40, 30:70] = 40
    volume = Volume.from_array(hounsfield[None], (5.0, row_mm, column_mm))
    crop = around_body(volume, hounsfield, aspect)
    width, height = (crop.right - crop.left) * column_mm, (crop.bottom - crop.top) * row_mm
    assert width / height == pytest.approx(aspect)
    assert crop.top <= 20
    assert crop.left <= 30
    assert crop.bottom >= 40
    assert crop.right >= 70
    assert cut(hounsfield, crop, (30, 40), -1024.0).max() > -600


@pytest.mark.parametrize("air", [-1024.0, -200.0])
def test_a_crop_finds_the_body_in_air_that_was_cut_off(air: float) -> None:
    """Some series hold nothing below -200 HU: the picture is filled all the same."""
    hounsfield = np.full((60, 80), air, np.float32)
    hounsfield[20:40, 30:70] = 40
    crop = around_body(Volume.from_array(hounsfield[None]), hounsfield, 2.0)
    assert crop.right - crop.left < 45


def test_a_caption_without_a_time_zone_or_words_is_refused() -> None:
    """A time that could be any time, a language that is not there."""
    with pytest.raises(ValueError, match="time zone"):
        Caption("1", "", datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="no words"):
        a_caption(language="xx")


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_language_names_every_phase(language: str) -> None:
    """A phase without a name would stop a page from being drawn."""
    assert set(WORDS[language].phases) == set(Phase)
