"""One archive with the viewed study, one browser and one OHIF for all viewer tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import ohif
import pytest
import viewed_study
from archive import Archive, orthanc
from browser import Browser, Picture
from PIL import Image
from pydicom.dataset import Dataset
from viewed_study import Viewed

from dicomnode.results import ResultObject

PICTURES = Path(__file__).resolve().parent.parent.parent / "docs" / "viewers"


@pytest.fixture(scope="session")
def archive(require_peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An Orthanc with DICOMweb and web viewer."""
    with orthanc(require_peer("Orthanc"), tmp_path_factory.mktemp("orthanc")) as one:
        yield one


@pytest.fixture(scope="session")
def viewed(archive: Archive) -> Viewed:
    """The synthetic study and every kind of result."""
    images = viewed_study.sources(viewed_study.volume(), "viewed")
    return _stored(archive, images, viewed_study.results(viewed_study.volume(), images))


@pytest.fixture(scope="session")
def stacked(archive: Archive) -> Viewed:
    """The synthetic study with pictures of every slice."""
    images = viewed_study.sources(viewed_study.volume(), "stacked")
    return _stored(archive, images, viewed_study.whole_stack(viewed_study.volume(), images))


@pytest.fixture(scope="session")
def segmented(archive: Archive) -> Viewed:
    """The synthetic study with an organ in three dimensions, to which the report refers."""
    images = viewed_study.sources(viewed_study.volume(), "segmented")
    return _stored(archive, images, viewed_study.segmented(viewed_study.volume(), images))


@pytest.fixture(scope="session")
def framed(archive: Archive) -> Viewed:
    """The synthetic study with its key slices in one multi-frame picture."""
    images = viewed_study.sources(viewed_study.volume(), "framed")
    return _stored(archive, images, viewed_study.multi_frame(viewed_study.volume(), images))


@pytest.fixture(scope="session")
def declined(archive: Archive) -> Viewed:
    """The synthetic study with the report of a series that was not judged."""
    images = viewed_study.sources(viewed_study.volume(), "declined")
    return _stored(archive, images, viewed_study.declined(images))


def _stored(archive: Archive, images: list[Dataset], objects: list[ResultObject]) -> Viewed:
    for image in images:
        archive.store(viewed_study.encoded(image))
    instances = tuple(archive.store(o.encoded) for o in objects)
    return Viewed(archive, str(images[0].StudyInstanceUID), tuple(objects), instances)


@pytest.fixture
def browser(require_peer: Callable[[str], str], tmp_path: Path) -> Iterator[Browser]:
    """A fresh Chromium."""
    with Browser(require_peer("chromium"), tmp_path / "profile") as one:
        yield one


@pytest.fixture(scope="session")
def ohif_url(archive: Archive) -> Iterator[str]:
    """OHIF over the archive. Its package lies in a cache outside the repository, where npm may put it."""
    cache = Path(os.environ.get("DICOMNODE_OHIF_CACHE", Path.home() / ".cache" / "dicomnode" / "ohif"))
    dist = ohif.unpacked(cache)
    if dist is None:
        message = f"OHIF {ohif.VERSION} (npm package @ohif/app) is neither in {cache} nor to be had"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with ohif.served(dist, archive.url) as url:
        yield url


@pytest.fixture
def keep() -> Callable[[str, Picture], None]:
    """keep(name, picture): writes a screenshot for the documentation, where DICOMNODE_KEEP_PICTURES is set."""

    def write(name: str, picture: Picture) -> None:
        if os.environ.get("DICOMNODE_KEEP_PICTURES"):
            PICTURES.mkdir(parents=True, exist_ok=True)
            small = Image.fromarray(picture).resize((picture.shape[1] // 2, picture.shape[0] // 2), Image.LANCZOS)
            small.quantize(256).save(PICTURES / f"{name}.png", optimize=True)

    return write
