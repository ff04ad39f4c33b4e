"""ModelCard and bundles: weights that are what they claim to be."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
