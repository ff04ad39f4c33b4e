"""Which device to compute on, and what to do when it fails."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

T = TypeVar("T")


def best_device() -> str:
    """ "cuda" where a GPU can be used, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class OnDevice(Generic[T]):
    """A network on a device, and on the CPU once that has failed.

    `run` is given the network and its inputs, both on the device, and brings back what it makes of them.
    """

    def __init__(self, module: "nn.Module", device: str, run: "Callable[[nn.Module, Tensor], T]") -> None:
        self.module, self.device, self._run = module, device, run

    def __call__(self, inputs: "Tensor") -> T:
        try:
            return self._there(inputs)
        except (RuntimeError, AssertionError) as error:
            if self.device == "cpu":
                raise
            log.warning("device %s failed, going on with the CPU: %s", self.device, error)
            self.device = "cpu"
            return self._there(inputs)

    def _there(self, inputs: "Tensor") -> T:
        return self._run(self.module.to(self.device), inputs.to(self.device))
