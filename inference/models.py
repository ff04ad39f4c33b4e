"""ModelCard and bundles: weights that are what they claim to be.

A bundle is a folder with `card.json` and `weights.safetensors` (half precision). The card holds the SHA-256 of the
weights file; a bundle whose weights do not match it is never loaded.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.errors import InvalidBundle

if TYPE_CHECKING:
    from torch import nn

CARD_FILE = "card.json"
WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True)
class ModelCard:
    """What a bundle says of itself; travels with every result."""

    name: str
    version: str
    task: str
    """"phase" or "segmentation" or "generator"."""
    network: str
    """Name in inference.networks."""
    weights_sha256: str
    intended_use: str
    limits: str
    data: str
    """What it was trained on, in words; synthetic data is called synthetic."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    """Everything needed to build the network and its input: width, image size, windows, temperature, …"""


@dataclass(frozen=True)
class Bundle:
    """A card and the network it speaks of, with its weights, in evaluation mode, on the CPU, in float32."""

    card: ModelCard
    module: "nn.Module"


def _phase_classifier(options: Mapping[str, Any]) -> "nn.Module":
    from inference.networks.classifier import PhaseClassifier

    return PhaseClassifier(len(options["windows"]), int(options["width"]), tuple(options["blocks"]))


def _double_unet(options: Mapping[str, Any]) -> "nn.Module":
    from inference.networks.double_unet import DoubleUNet

    return DoubleUNet(*_shape_of_segmentation(options), mask=options.get("mask", "second"))


def _r2unet(options: Mapping[str, Any]) -> "nn.Module":
    from inference.networks.r2unet import R2UNet

    return R2UNet(*_shape_of_segmentation(options))


def _mcgunet(options: Mapping[str, Any]) -> "nn.Module":
    from inference.networks.mcgunet import MCGUNet

    return MCGUNet(*_shape_of_segmentation(options), bidirectional=bool(options.get("bidirectional", True)))


def _counterfactual(options: Mapping[str, Any]) -> "nn.Module":
    from inference.networks.inverter import counterfactual_network

    return counterfactual_network(options)


def _shape_of_segmentation(options: Mapping[str, Any]) -> tuple[int, int, int]:
    """Channels in, classes out (background is one), width."""
    return len(options["windows"]), len(options["organs"]) + 1, int(options["width"])


NETWORKS: dict[str, Callable[[Mapping[str, Any]], "nn.Module"]] = {
    "phase-classifier": _phase_classifier,
    "double-unet": _double_unet,
    "r2unet": _r2unet,
    "mcgunet": _mcgunet,
    "counterfactual": _counterfactual,
}
"""Network name -> constructor from a card's options. Torch is imported only once a network is built."""


def default_bundle_path(task: str = "phase") -> Path:
    """Folder of the bundle that is shipped for a task."""
    return Path(__file__).parent / "weights" / task


def load_card(folder: Path) -> ModelCard:
    """The card alone, without torch. Raises InvalidBundle when it is missing or not a card."""
    try:
        values = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        return ModelCard(**values)
    except OSError as error:
        raise InvalidBundle(f"No model card: {folder / CARD_FILE} cannot be read ({error.strerror})") from error
    except (ValueError, TypeError) as error:
        wanted = ", ".join(f.name for f in fields(ModelCard))
        raise InvalidBundle(f"{folder / CARD_FILE} is not a model card with the fields {wanted}: {error}") from error


def load_bundle(folder: Path) -> Bundle:
    """The bundle in `folder`, checked. Raises InvalidBundle, in a sentence that says what is wrong with it."""
    card = load_card(folder)
    encoded = _weights(folder, card)
    return Bundle(card, _filled(_built(card), encoded, folder))


def save_bundle(folder: Path, card: ModelCard, module: "nn.Module") -> ModelCard:
    """Write the bundle, in place of one that is there, and return its card with the hash of its weights.

    The new folder is written beside the old one and renamed, so that a reader finds the old or the new bundle.
    """
    from safetensors.torch import save

    encoded = save({name: stored(value) for name, value in module.state_dict().items()})
    card = replace(card, weights_sha256=hashlib.sha256(encoded).hexdigest())
    fresh, stale = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    for leftover in (fresh, stale):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    (fresh / WEIGHTS_FILE).write_bytes(encoded)
    (fresh / CARD_FILE).write_text(json.dumps(asdict(card), indent=2) + "\n", encoding="utf-8")
    if folder.exists():
        os.rename(folder, stale)
    os.rename(fresh, folder)
    shutil.rmtree(stale, ignore_errors=True)
    return card


def stored(value: Any) -> Any:
    """A tensor as a bundle keeps it: half precision; counters stay as they are, and so does what half cannot hold."""
    value = value.detach().cpu().contiguous()
    halved = value.half() if value.is_floating_point() else value
    return halved if bool(halved.isfinite().all()) else value


def _weights(folder: Path, card: ModelCard) -> bytes:
    try:
        encoded = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise InvalidBundle(f"No weights: {folder / WEIGHTS_FILE} cannot be read ({error.strerror})") from error
    found = hashlib.sha256(encoded).hexdigest()
    if found != card.weights_sha256:
        raise InvalidBundle(
            f"The weights in {folder} are not its card's: SHA-256 {found[:16]}… is not {card.weights_sha256[:16]}…"
        )
    return encoded


def _built(card: ModelCard) -> "nn.Module":
    if card.network not in NETWORKS:
        raise InvalidBundle(f"Network {card.network!r} is not known here; known are {', '.join(sorted(NETWORKS))}")
    try:
        return NETWORKS[card.network](card.options)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidBundle(f"The card of {card.name} does not describe its network: {error!r}") from error


def _filled(module: "nn.Module", encoded: bytes, folder: Path) -> "nn.Module":
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state = {name: value.float() if value.is_floating_point() else value for name, value in load(encoded).items()}
        module.load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        raise InvalidBundle(f"The weights in {folder} do not fit the network of its card: {error}") from error
    module.eval()
    return module.requires_grad_(False)
