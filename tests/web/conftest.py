"""A filled node and a browser for it."""

from pathlib import Path

import pytest
from sample import Sample, filled
from starlette.testclient import TestClient

from dicomnode.web.app import create_app


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return filled(tmp_path_factory.mktemp("node"))


@pytest.fixture
def browser(sample: Sample) -> TestClient:
    return TestClient(create_app(sample.node()))


@pytest.fixture
def empty(tmp_path: Path) -> Sample:
    return Sample(tmp_path)
