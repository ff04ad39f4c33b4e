"""Fixtures for tests of inference: a peer whose picture libraries are not needed."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from unittest.mock import MagicMock

import pytest


@pytest.fixture
def gradcam() -> Iterator[ModuleType]:
    """pytorch-grad-cam, with stand-ins for the picture libraries that its maps do not need."""
    absent = ["cv2", "ttach", "torchvision", "torchvision.transforms", "torchvision.transforms.functional"]
    absent += ["sklearn", "sklearn.decomposition"]
    stand_ins = {name: MagicMock() for name in absent if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield importlib.import_module("pytorch_grad_cam")
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    finally:
        for name in stand_ins:
            del sys.modules[name]
