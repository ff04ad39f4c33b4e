"""What is seen: each kind of object in Orthanc's viewers and in OHIF, asserted by pixels in headless Chromium."""

import json
import time
import urllib.error
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from browser import Browser, Picture, coloured, lit
from PIL import Image
from pydicom.dataset import Dataset
from viewed_study import DECLINED, Viewed

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.xdist_group("viewers")]
Keep = Callable[[str, Picture], None]

PATIENCE_SECONDS = 240
THUMBNAILS = """[...document.querySelectorAll('[data-cy^="study-browser-thumbnail"]')].map(e => {
    const box = e.getBoundingClientRect(); return [e.innerText, box.x + box.width / 2, box.y + box.height / 2] })"""


PANES = """document.querySelectorAll('[data-cy="viewport-pane"]').length"""
HEIGHTS = r"""[...document.body.innerText.matchAll(/I:\s*\d+\s*\((\d+)\/16\)/g)].map(m => Number(m[1]))"""
"""The position shown in each viewport, of 16."""


def of(page: Picture) -> Picture:
    """The viewport of an OHIF page: without tool bar, side panels and the corners that it writes into."""
    return page[110:820, 300:1340]


def test_the_archive_previews_pictures_in_colour(viewed: Viewed) -> None:
    """Orthanc Explorer shows an instance by its preview: colours of a key slice, text of the summary page."""
    page, *slices = (
        np.asarray(Image.open(BytesIO(viewed.archive.get(f"/instances/{i}/preview"))).convert("RGB"))
        for i in viewed.of_kind("capture")
    )
    assert coloured(page) > 0.01
    assert lit(page, 200) > 0.01, "large white letters"
    assert all(coloured(one, 30) > 0.02 for one in slices)


def test_the_archive_gives_key_slices_back_where_their_ct_slice_lies(viewed: Viewed) -> None:
    """By what viewers pair pictures with: frame of reference, orientation, the plane, and the corner of the image."""
    told = viewed.archive.get(f"/dicom-web/studies/{viewed.study_uid}/metadata")
    datasets = (Dataset.from_json(one, lambda tag, vr, uri: b"") for one in told)
    found = {str(one.SOPInstanceUID): one for one in datasets}
    uids = [o.sop_instance_uid for o in viewed.objects if o.kind == "capture"]
    slices = [found[uid] for uid in uids if "ImagePositionPatient" in found[uid]]
    assert len(slices) == len(uids) - 1 == 6, "three key slices with two maps, behind the summary page"
    for one in slices:
        source = found[one.SourceImageSequence[0].ReferencedSOPInstanceUID]
        assert (source.Modality, source.FrameOfReferenceUID) == ("CT", one.FrameOfReferenceUID)
        assert source.ImageOrientationPatient == one.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
        assert source.ImagePositionPatient[2] == one.ImagePositionPatient[2]
        np.testing.assert_allclose(_corner(one), _corner(source), atol=1e-4)


def _corner(image: Dataset) -> list[float]:
    """Where the first pixel of an axial image begins, in mm: position tells its centre."""
    across, down = image.PixelSpacing[1], image.PixelSpacing[0]
    return [image.ImagePositionPatient[0] - across / 2, image.ImagePositionPatient[1] - down / 2]


def test_the_web_viewer_of_the_archive_shows_the_summary_page(viewed: Viewed, browser: Browser, keep: Keep) -> None:
    """Opened from the archive, the first picture is the page with the answer."""
    series = viewed.archive.get(f"/instances/{viewed.of_kind('capture')[0]}")["ParentSeries"]
    browser.open(f"{viewed.archive.url}/web-viewer/app/viewer.html?series={series}")
    shown = _wait(browser, lambda page: coloured(page) > 0.01 and lit(page, 200) > 0.01)
    keep("orthanc-summary", shown)


def test_the_web_viewer_of_the_archive_scrolls_to_the_key_slices(viewed: Viewed, browser: Browser, keep: Keep) -> None:
    """The wheel goes on to an overlay in colour."""
    series = viewed.archive.get(f"/instances/{viewed.of_kind('capture')[0]}")["ParentSeries"]
    browser.open(f"{viewed.archive.url}/web-viewer/app/viewer.html?series={series}")
    first = _wait(browser, lambda page: coloured(page) > 0.01 and lit(page, 200) > 0.01)
    browser.scroll(700, 450, 1)
    shown = _wait(browser, lambda page: not np.array_equal(page, first) and coloured(page[:, 300:1100], 30) > 0.01)
    keep("orthanc-key-slice", shown)


def test_ohif_names_the_answer_in_its_list(viewed: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """Before anything is opened, every series of results says what was found; the CT opens first."""
    _open_study(browser, ohif_url, viewed)
    browser.until(f"{THUMBNAILS}.length >= 8", PATIENCE_SECONDS)
    texts = [text for text, _, _ in browser.run(THUMBNAILS)]
    assert texts[0].startswith("CT")
    assert sum("AI PORTAL VENOUS 93% S4" in text for text in texts) >= 7
    keep("ohif-study", browser.look())


def test_ohif_shows_the_summary_page_first(viewed: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """Large letters and coloured bars in the viewport."""
    _open_study(browser, ohif_url, viewed)
    _open_series(browser, "OT")
    shown = _wait(browser, lambda page: coloured(of(page)) > 0.02 and lit(of(page), 220) > 0.01)
    keep("ohif-summary", shown)


def test_ohif_scrolls_on_to_the_key_slices(viewed: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """The wheel goes from the summary page to the overlay of the most telling slice."""
    _open_study(browser, ohif_url, viewed)
    _open_series(browser, "OT")
    first = _wait(browser, lambda page: coloured(of(page)) > 0.02)
    browser.scroll(800, 450, 1)
    shown = _wait(browser, lambda page: not np.array_equal(of(page), of(first)) and coloured(of(page), 30) > 0.02)
    keep("ohif-key-slice", shown)


def test_ohif_scrolls_a_whole_stack_with_the_ct(stacked: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """Side by side and synchronised, the CT follows the pictures to the same height."""
    _open_study(browser, ohif_url, stacked)
    _insist(browser, lambda: _press(browser, "Layout", "Layout-1-0"), f"{PANES} >= 2")
    _insist(browser, lambda: _open_in_second_pane(browser), f"{HEIGHTS}.length == 2")
    _wait(browser, lambda page: coloured(page[110:820, 830:1340], 30) > 0.005)
    _press(browser, "MoreTools-split-button-secondary", "ImageSliceSync")
    before = browser.run(HEIGHTS)
    together = f"{HEIGHTS}[0] == {HEIGHTS}[1] && {HEIGHTS}[0] != {before[0]}"
    _insist(browser, lambda: browser.scroll(1080, 400, 2), together)
    keep("ohif-together", browser.look())


def test_the_web_viewer_of_the_archive_scrolls_through_frames(framed: Viewed, browser: Browser) -> None:
    """Multi-frame: behind the summary page the wheel shows one frame after the other, each with its overlay."""
    series = framed.archive.get(f"/instances/{framed.of_kind('capture')[0]}")["ParentSeries"]
    browser.open(f"{framed.archive.url}/web-viewer/app/viewer.html?series={series}")
    before = _wait(browser, lambda page: coloured(page) > 0.01 and lit(page, 200) > 0.01)
    for _ in range(2):
        browser.scroll(700, 450, 1)
        before = _wait(browser, _other_than(before, lambda page: coloured(page[:, 300:1100], 30) > 0.01))


def test_ohif_scrolls_through_the_frames_of_one_picture(
    framed: Viewed, browser: Browser, ohif_url: str, keep: Keep
) -> None:
    """Multi-frame: a thumbnail of its own beside the summary page; the wheel goes from frame to frame."""
    _open_study(browser, ohif_url, framed)
    browser.until(f"{THUMBNAILS}.filter(t => t[0].startsWith('OT')).length == 2", PATIENCE_SECONDS)
    _open_series(browser, "OT", "\n6")
    before = _wait(browser, lambda page: coloured(of(page), 30) > 0.02)
    browser.scroll(800, 450, 1)
    shown = _wait(browser, _other_than(before, lambda page: coloured(of(page), 30) > 0.02))
    keep("ohif-multi-frame", shown)


DRAWN = "document.body.textContent.includes('Probability of portal venous phase')"


def test_ohif_opens_the_report_on_its_slice(framed: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """The viewport is not blank: the CT slice with the region and the probabilities drawn on it."""
    _open_study(browser, ohif_url, framed)
    _insist(browser, lambda: _open_report(browser), DRAWN)
    shown = _wait(browser, lambda page: lit(of(page)) > 0.1 and coloured(of(page)) > 0.002)
    keep("ohif-report", shown)


def test_ohif_opens_a_report_that_refers_to_segments(
    segmented: Viewed, browser: Browser, ohif_url: str, keep: Keep
) -> None:
    """It needs a region for every Tracking Unique Identifier, and the organ's outline is one."""
    _open_study(browser, ohif_url, segmented)
    _insist(browser, lambda: _open_report(browser), DRAWN)
    shown = _wait(browser, lambda page: lit(of(page)) > 0.1 and coloured(of(page)) > 0.002)
    keep("ohif-report-segments", shown)


def test_ohif_shows_why_a_series_was_declined(declined: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """As text, for there is nothing to draw; the list says it before anything is opened."""
    _open_study(browser, ohif_url, declined, fewest=2)
    read = f"document.body.textContent.includes({json.dumps(DECLINED)})"
    _insist(browser, lambda: _open_series(browser, "SR", "AI NOT JUDGED S4"), read)
    shown = _wait(browser, lambda page: lit(of(page), 150) > 0.001)
    keep("ohif-declined", shown)


def test_the_archive_shows_why_a_series_was_declined_in_its_tags_alone(
    declined: Viewed, browser: Browser, keep: Keep
) -> None:
    """Orthanc Explorer: the study list has the answer, the instance its text; there is no picture to preview."""
    (report,) = declined.instances
    assert _reason_in(declined.archive.get(f"/instances/{report}/simplified-tags"))
    with pytest.raises(urllib.error.HTTPError, match="415"):
        declined.archive.get(f"/instances/{report}/preview")
    series = declined.archive.get(f"/instances/{report}")["ParentSeries"]
    browser.open(f"{declined.archive.url}/app/explorer.html#series?uuid={series}")
    browser.until("document.body.innerText.includes('AI NOT JUDGED S4')", PATIENCE_SECONDS)
    keep("orthanc-declined", browser.look())


def _reason_in(tags: Any) -> bool:
    return DECLINED in json.dumps(tags, ensure_ascii=False)


def test_the_web_viewer_of_the_archive_says_that_it_cannot_show_a_report(declined: Viewed, browser: Browser) -> None:
    """A message, no endless waiting."""
    series = declined.archive.get(f"/instances/{declined.instances[0]}")["ParentSeries"]
    browser.open(f"{declined.archive.url}/web-viewer/app/viewer.html?series={series}")
    end = time.monotonic() + PATIENCE_SECONDS
    while not browser.said and time.monotonic() < end:
        browser.look()
        time.sleep(0.5)
    assert any("decode" in words for words in browser.said), browser.said


def test_ohif_lays_the_segmentation_over_the_ct(viewed: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """The segment is in colour on the grey slice."""
    _open_study(browser, ohif_url, viewed)
    _open_series(browser, "SEG")
    shown = _wait(browser, lambda page: lit(of(page)) > 0.1 and coloured(of(page), 40) > 0.01)
    keep("ohif-segmentation", shown)


def test_ohif_shows_the_pdf(viewed: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """The summary page as a document."""
    _open_study(browser, ohif_url, viewed)
    _open_series(browser, "DOC")
    shown = _wait(browser, lambda page: coloured(of(page)) > 0.01)
    keep("ohif-pdf", shown)


@pytest.mark.parametrize("modality", ["KO", "PR"])
def test_ohif_marks_what_it_cannot_show(viewed: Viewed, browser: Browser, ohif_url: str, modality: str) -> None:
    """Key objects and presentation states are listed, with a warning: nobody waits for a picture."""
    _open_study(browser, ohif_url, viewed)
    browser.until(f"{THUMBNAILS}.length >= 8", PATIENCE_SECONDS)
    assert any(text.startswith(modality) for text, _, _ in browser.run(THUMBNAILS))


def _open_study(browser: Browser, url: str, viewed: Viewed, fewest: int = 3) -> None:
    browser.open(f"{url}/viewer?StudyInstanceUIDs={viewed.study_uid}")
    browser.until("document.body.innerText.includes('Skip all')", PATIENCE_SECONDS)
    browser.run(
        "[...document.querySelectorAll('button,span,a')].filter(e => e.textContent.trim() === 'Skip all')[0].click()"
    )
    browser.until(f"{THUMBNAILS}.length >= {fewest} && document.body.innerText.includes('I:')", PATIENCE_SECONDS)


def _open_series(browser: Browser, modality: str, words: str = "AI PORTAL VENOUS") -> None:
    """A double click on the thumbnail of a modality whose text holds some words."""
    found = [one for one in browser.run(THUMBNAILS) if one[0].startswith(modality) and words in one[0]]
    browser.click(found[0][1], found[0][2], 2)


def _open_report(browser: Browser) -> None:
    """OHIF now and then shows the slice and draws on it only once it moves: hence the wheel, there and back."""
    _open_series(browser, "SR")
    time.sleep(3)
    browser.scroll(800, 450, 1)
    browser.scroll(800, 450, -1)


def _open_in_second_pane(browser: Browser) -> None:
    browser.click(1080, 400)
    _open_series(browser, "OT", "SAM")


def _press(browser: Browser, *controls: str) -> None:
    """A click on each control, by the name that OHIF's own tests know it by; nothing for one that never comes."""
    for control in controls:
        box = f"document.querySelector('[data-cy=\"{control}\"]').getBoundingClientRect()"
        try:
            browser.until(f"{box}.width > 0", 10)
        except TimeoutError:
            return
        x, y = browser.run(f"(() => {{ const b = {box}; return [b.x + b.width / 2, b.y + b.height / 2] }})()")
        browser.click(x, y)


def _insist(browser: Browser, act: Callable[[], None], done: str) -> None:
    """Acts until it has had its effect: a page that is busy loses clicks. Raises TimeoutError when it never has."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        act()
        try:
            browser.until(done, 10)
            return
        except TimeoutError:
            if time.monotonic() > end:
                raise


def _other_than(before: Picture, seen: Callable[[Picture], bool]) -> Callable[[Picture], bool]:
    """Whether the viewport has changed and shows what is expected."""
    return lambda page: not np.array_equal(of(page), of(before)) and seen(page)


def _wait(browser: Browser, seen: Callable[[Picture], bool]) -> Picture:
    """The page once it shows what is expected. Raises TimeoutError when it never does."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        page = browser.look()
        if seen(page):
            return page
        time.sleep(1.0)
    raise TimeoutError("the page never showed what was expected")
