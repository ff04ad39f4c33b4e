"""What a network saw: every map at every layer from one shared pass.

    maps = explain(network, slices, target=2, layers=["block2"], maps=["sam", "grad-cam"])
    maps.get("sam").values          # float32[batch, row, column], raw
    maps.get("sam").scale           # what to show as full heat, one for the batch

It knows nothing of DICOM, and asks nothing of the network but that autograd can follow it.
"""

from inference.explain.engine import INPUT_METHODS, LAYER_METHODS, METHODS, explain
from inference.explain.formulas import DEFAULT_SAM_KIND, SAM_KINDS
from inference.explain.mapset import Map, MapSet, series_scale
from inference.explain.targets import Target, mask_sum, phase_logit

__all__ = [
    "DEFAULT_SAM_KIND",
    "INPUT_METHODS",
    "LAYER_METHODS",
    "METHODS",
    "SAM_KINDS",
    "Map",
    "MapSet",
    "Target",
    "explain",
    "mask_sum",
    "phase_logit",
    "series_scale",
]
