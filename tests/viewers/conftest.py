"""One archive with the viewed study, one browser and one OHIF for all viewer tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import ohif
import pytest
import viewed_study
from archive import orthanc
from browser import Browser, Picture
from PIL import Image
from viewed_study import Viewed

PICTURES = Path(__file__).resolve().parent.parent.parent / "docs" / "viewers"


@pytest.fixture(scope="session")
def viewed(require_peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewed]:
    """The synthetic study and every kind of result in an Orthanc with DICOMweb and web viewer."""
    program = require_peer("Orthanc")
    volume = viewed_study.volume()
    images = viewed_study.sources(volume)
    objects = tuple(viewed_study.results(volume, images))
    with orthanc(program, tmp_path_factory.mktemp("orthanc")) as archive:
        for image in images:
            archive.store(viewed_study.encoded(image))
        instances = tuple(archive.store(o.encoded) for o in objects)
        yield Viewed(archive, str(images[0].StudyInstanceUID), objects, instances)


@pytest.fixture
def browser(require_peer: Callable[[str], str], tmp_path: Path) -> Iterator[Browser]:
    """A fresh Chromium."""
    with Browser(require_peer("chromium"), tmp_path / "profile") as one:
        yield one


@pytest.fixture(scope="session")
def ohif_url(viewed: Viewed) -> Iterator[str]:
    """OHIF over the archive. Its package lies in a cache outside the repository, where npm may put it."""
    cache = Path(os.environ.get("DICOMNODE_OHIF_CACHE", Path.home() / ".cache" / "dicomnode" / "ohif"))
    dist = ohif.unpacked(cache)
    if dist is None:
        message = f"OHIF {ohif.VERSION} (npm package @ohif/app) is neither in {cache} nor to be had"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with ohif.served(dist, viewed.archive.url) as url:
        yield url


@pytest.fixture
def keep() -> Callable[[str, Picture], None]:
    """keep(name, picture): writes a screenshot for the documentation, where DICOMNODE_KEEP_PICTURES is set."""

    def write(name: str, picture: Picture) -> None:
        if os.environ.get("DICOMNODE_KEEP_PICTURES"):
            PICTURES.mkdir(parents=True, exist_ok=True)
            small = Image.fromarray(picture).resize((picture.shape[1] // 2, picture.shape[0] // 2), Image.LANCZOS)
            small.quantize(64).save(PICTURES / f"{name}.png", optimize=True)

    return write
