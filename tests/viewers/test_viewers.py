"""What is seen: each kind of object in Orthanc's viewers and in OHIF, asserted by pixels in headless Chromium."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from browser import Browser, Picture, coloured, lit
from PIL import Image
from viewed_study import Viewed

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(1200)]
Keep = Callable[[str, Picture], None]

PATIENCE_SECONDS = 240
THUMBNAILS = """[...document.querySelectorAll('[data-cy^="study-browser-thumbnail"]')].map(e => {
    const box = e.getBoundingClientRect(); return [e.innerText, box.x + box.width / 2, box.y + box.height / 2] })"""


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


def test_ohif_scrolls_the_pictures_with_the_ct(viewed: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """A key slice names the CT's frame of reference and its height: what OHIF synchronises by."""
    _open_study(browser, ohif_url, viewed)
    _open_series(browser, "OT")
    first = _wait(browser, lambda page: coloured(of(page)) > 0.02)
    browser.scroll(800, 450, 1)
    shown = _wait(browser, lambda page: not np.array_equal(of(page), of(first)) and coloured(of(page), 30) > 0.02)
    keep("ohif-key-slice", shown)


def test_ohif_opens_the_report_on_its_slice(viewed: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """The viewport is not blank: the CT slice with the region and the probabilities drawn on it."""
    _open_study(browser, ohif_url, viewed)
    _open_series(browser, "SR")
    words = "'Probability of portal venous phase'"
    browser.until(f"document.body.textContent.includes({words})", PATIENCE_SECONDS)
    shown = _wait(browser, lambda page: lit(of(page)) > 0.1 and coloured(of(page)) > 0.002)
    keep("ohif-report", shown)


def test_ohif_lays_the_segmentation_over_the_ct(viewed: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """The segment is in colour on the grey slice."""
    _open_study(browser, ohif_url, viewed)
    _open_series(browser, "SEG")
    shown = _wait(browser, lambda page: lit(of(page)) > 0.1 and coloured(of(page), 40) > 0.01)
    keep("ohif-segmentation", shown)


def test_ohif_lays_the_raw_map_over_the_ct(viewed: Viewed, browser: Browser, ohif_url: str, keep: Keep) -> None:
    """The Parametric Map becomes heat on the slice."""
    _open_study(browser, ohif_url, viewed)
    _open_series(browser, "PMAP")
    browser.until("!document.body.innerText.includes('Loading Parametric')", PATIENCE_SECONDS)
    shown = _wait(browser, lambda page: coloured(of(page), 40) > 0.005)
    keep("ohif-parametric-map", shown)


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
    assert any(text.startswith(modality) for text, _, _ in browser.run(THUMBNAILS))


def _open_study(browser: Browser, url: str, viewed: Viewed) -> None:
    browser.open(f"{url}/viewer?StudyInstanceUIDs={viewed.study_uid}")
    browser.until("document.body.innerText.includes('Skip all')", PATIENCE_SECONDS)
    browser.run(
        "[...document.querySelectorAll('button,span,a')].filter(e => e.textContent.trim() === 'Skip all')[0].click()"
    )
    browser.until(f"{THUMBNAILS}.length >= 8 && document.body.innerText.includes('I:')", PATIENCE_SECONDS)


def _open_series(browser: Browser, modality: str) -> None:
    """A double click on the thumbnail of a modality."""
    text, x, y = next(one for one in browser.run(THUMBNAILS) if one[0].startswith(modality))
    assert "AI PORTAL VENOUS" in text
    browser.click(x, y, 2)


def _wait(browser: Browser, seen: Callable[[Picture], bool]) -> Picture:
    """The page once it shows what is expected. Raises TimeoutError when it never does."""
    import time

    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        page = browser.look()
        if seen(page):
            return page
        time.sleep(1.0)
    raise TimeoutError("the page never showed what was expected")
