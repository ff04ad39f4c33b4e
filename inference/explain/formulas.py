"""The maps' formulas. Symbols: y the score, x the input, A an activation [batch, channel, *space], Z its positions.

    saliency          S = max over channels of |dy/dx|                                 Simonyan et al., 2013
    guided-backprop   G = the same, every ReLU backward r_in = r_out 1[a>0] 1[r_out>0]   Springenberg et al., 2014
    cam               M = sum_k w_k A_k, w the class's weights after average pooling     Zhou et al., 2016
    grad-cam          L = ReLU(sum_k a_k A_k), a_k = (1/Z) sum over positions of dy/dA_k   Selvaraju et al., 2017
    hirescam          H = ReLU(sum_k dy/dA_k A_k)                                      Draelos and Carin, 2020
    guided-grad-cam   G up(L)                                                        Selvaraju et al., 2017
    sam               S up(H), a reconstruction of the saliency activation map         Philbrick et al., 2018

`up` is (bi- or tri-)linear with align_corners=False.

SAM: only the abstract was at hand. The grounds for the formula: its name (saliency x activation, as guided Grad-CAM is
named for its two factors), one map a layer as with Grad-CAM, living on input voxels. Its kind is a parameter.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from inference.errors import CannotExplain
from inference.explain.passes import Head, LayerPass, Passes

SAM_KINDS: Mapping[str, tuple[str, str]] = {
    "saliency x hirescam": ("saliency", "hirescam"),
    "saliency x grad-cam": ("saliency", "grad-cam"),
    "guided-backprop x hirescam": ("guided-backprop", "hirescam"),
}
"""Each SAM as (map of the input, map of the layer)."""
DEFAULT_SAM_KIND = "saliency x hirescam"

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def strongest_channel(gradient: Tensor) -> Tensor:
    """[batch, channel, *space] -> the largest magnitude over channels, [batch, *space]."""
    return gradient.abs().amax(1)


def grad_cam(layer: LayerPass) -> Tensor:
    """ReLU(sum_k a_k A_k), [batch, *space of the layer]."""
    weights = layer.gradient.flatten(2).mean(2)
    return torch.einsum("bk...,bk->b...", layer.activation, weights).relu()


def hirescam(layer: LayerPass) -> Tensor:
    """ReLU(sum_k dy/dA_k A_k), [batch, *space of the layer]."""
    return torch.einsum("bk...,bk...->b...", layer.gradient, layer.activation).relu()


def cam(layer: LayerPass, head: Head | None) -> Tensor:
    """sum_k w_k A_k, [batch, *space of the layer]; signed.

    Raises CannotExplain unless the logits are one linear layer over the mean of this layer's activation: that is what
    makes the sum of the map the logit (less its bias).
    """
    if head is None or not _is_mean_of(head.features, layer.activation):
        raise CannotExplain(f"CAM needs one linear layer over the mean of the feature maps: {layer.name} is not that")
    return torch.einsum("bk...,bk->b...", layer.activation, head.weights)


def raised(values: Tensor, like: Tensor) -> Tensor:
    """`up`: values[batch, *space] on the grid of like[batch, channel, *space]."""
    space = like.shape[2:]
    if values.shape[1:] == space:
        return values
    mode = _LINEAR[len(space)]
    return functional.interpolate(values[:, None], size=space, mode=mode, align_corners=False)[:, 0]


def input_map(method: str, passes: Passes) -> Tensor:
    """Saliency or guided backpropagation, [batch, *space of the input]."""
    if method == "saliency":
        return strongest_channel(passes.gradient)
    assert passes.guided is not None, "guided gradients were not asked for"
    return strongest_channel(passes.guided)


def _is_mean_of(features: Tensor, activation: Tensor) -> bool:
    if activation.shape[:2] != features.shape:
        return False
    return torch.allclose(activation.flatten(2).mean(2), features, rtol=1e-4, atol=1e-5)
