"""Learning organs: cross-entropy and soft Dice on every mask that a network gives, in the one training loop."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inference.segment import ORGANS
from inference.training.datasets import Batch, ShardPool
from inference.training.loop import Trainer, windowed
from inference.training.segmentation_data import MaskAugmentation, MaskBatch

FIRST_MASK_SHARE = 0.4
"""Weight of the first of two masks: it is there to guide the second one."""
FEWEST_PIXELS = 200
"""A class that is seen less often than this is weighed as if it were seen so often."""
SMOOTHING_PIXELS = 10.0
"""Added to both parts of a Dice: an organ of a few pixels shall not outweigh all others."""


class SegmentationTrainer(Trainer):
    """The same loop, on a network that gives one mask or two; draws from a pool of MaskBatch."""

    augment: MaskAugmentation
    class_weights: Tensor | None = None
    """[class]: what a pixel of each class counts in the cross-entropy; None for all the same."""

    def weigh(self, pool: ShardPool, rarity: float, slices: int = 512) -> None:
        """Let rare organs count more: a pixel of a class counts 1 / share^rarity, the background's 1; 0.0 for all 1.

        Raises TypeError for a pool without labels.
        """
        drawn = pool.draw(slices)
        if not isinstance(drawn, MaskBatch):
            raise TypeError("segmentation learns from batches with labels")
        counts = np.bincount(drawn.labels.ravel(), minlength=len(ORGANS) + 1)
        share = np.maximum(counts, FEWEST_PIXELS) / counts[0]
        self.class_weights = torch.from_numpy((share**-rarity).astype(np.float32)) if rarity else None

    def augmentation(self, seed: int) -> MaskAugmentation:
        return MaskAugmentation(self.grid.size, seed)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy and soft Dice of each mask. Raises TypeError for a batch without labels."""
        if not isinstance(batch, MaskBatch):
            raise TypeError("segmentation learns from batches with labels")
        images, labels = (torch.from_numpy(np.ascontiguousarray(part)) for part in (batch.hounsfield, batch.labels))
        image, target = self.augment.together(images, labels)
        inputs = windowed(image, self.grid).contiguous(memory_format=torch.channels_last)
        masks = self.network(inputs)
        if isinstance(masks, Tensor):
            return mask_losses(masks, target, self.class_weights)
        first, second = (mask_losses(mask, target, self.class_weights) for mask in masks)
        return second | {f"first {name}": FIRST_MASK_SHARE * loss for name, loss in first.items()}


def mask_losses(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> dict[str, Tensor]:
    """logits[slice, class, row, column], target[slice, row, column] -> cross-entropy, 1 - mean soft Dice."""
    return {
        "entropy": F.cross_entropy(logits, target, weights),
        "dice": 1.0 - soft_dice(logits.softmax(1), target).mean(),
    }


def soft_dice(probabilities: Tensor, target: Tensor) -> Tensor:
    """Dice of each organ that the batch shows, over all its pixels (Milletari 2016): [organ]; 1.0 without any."""
    truth = F.one_hot(target, probabilities.shape[1]).permute(0, 3, 1, 2).to(probabilities.dtype)
    both = (probabilities * truth).sum((0, 2, 3))[1:]
    size = (probabilities.sum((0, 2, 3)) + truth.sum((0, 2, 3)))[1:]
    shown = truth.sum((0, 2, 3))[1:] > 0
    if not bool(shown.any()):
        return probabilities.new_ones(1)
    return ((2.0 * both + SMOOTHING_PIXELS) / (size + SMOOTHING_PIXELS))[shown]
