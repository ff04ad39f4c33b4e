"""Cloud: the latents that a generator knows, as a normal distribution; and how far from its centre a latent lies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEAST_VARIANCE = 1e-5
"""Of an axis, relative to the widest: narrower ones are taken to be this wide, for nothing is known along them."""


@dataclass(frozen=True)
class Cloud:
    """w = mean + spread @ u, with u of unit variance along every axis."""

    mean: Array
    """[latent]."""
    spread: Array
    """[latent, latent], symmetric: the square root of the covariance."""

    @classmethod
    def around(cls, latents: Array) -> "Cloud":
        """The cloud of latents[sample, latent]. Raises ValueError when there are fewer than two."""
        if len(latents) < 2:
            raise ValueError(f"{len(latents)} latents make no cloud")
        mean = latents.mean(axis=0)
        variance, axes = np.linalg.eigh(np.cov(latents - mean, rowvar=False))
        deviation = np.sqrt(np.maximum(variance, LEAST_VARIANCE * max(float(variance.max()), 1e-12)))
        return cls(mean, (axes * deviation) @ axes.T)

    def whitened(self, latents: Array) -> Array:
        """latents[..., latent] -> u."""
        return np.asarray(np.linalg.solve(self.spread, (latents - self.mean)[..., None])[..., 0])

    def distance(self, latents: Array) -> Array:
        """[...]: root mean square of u, about 1 for the latents the cloud was made from (Mahalanobis / sqrt(n))."""
        return np.asarray(np.sqrt(np.square(self.whitened(latents)).mean(axis=-1)))
