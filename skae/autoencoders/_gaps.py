"""What networks see of rows with missing entries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from .._missing import means_of


class Gaps(nn.Module):
    """Fills in missing entries, which are NaN, for an encoder.

    They begin as the mean of the observed training entries, and are then replaced by their
    reconstruction some times.

    Parameters
    ----------
    n_features : int
        Width of the rows.
    mask_as_input : bool
        Whether the encoder is given a second number for each feature: 1 where it is missing.
    n_refinements : int
        How many times missing entries are replaced by their reconstruction.
    """

    fill: Tensor
    weight: Tensor

    def __init__(self, n_features: int, *, mask_as_input: bool, n_refinements: int):
        super().__init__()
        self.mask_as_input, self.n_refinements = bool(mask_as_input), int(n_refinements)
        # Learned from the rows, so that they belong to the state.
        for name in ("fill", "weight"):
            self.register_buffer(name, torch.zeros(n_features, dtype=torch.float32))

    def observe(self, sums: np.ndarray, weights: np.ndarray) -> None:
        """Take the sums of observed entries, and their weights, into the means."""
        means_of(sums, self.weight.numpy(force=True) + weights)  # refuses a feature without any
        both = torch.from_numpy(np.stack([sums, weights])).to(self.fill.device)
        before = self.weight.to(both.dtype)
        self.weight.copy_(before + both[1])
        mean = (self.fill.to(both.dtype) * before + both[0]) / self.weight.clamp_min(1e-30)
        self.fill.copy_(mean)

    def start(self, x: Tensor) -> Tensor:
        """Return rows with the means in place of missing entries."""
        return torch.where(x.isnan(), self.fill, x)

    def forward(self, x: Tensor, rebuild: Callable[[Tensor], Tensor]) -> Tensor:
        """Return rows without missing entries, given what rebuilds such rows."""
        missing, filled = x.isnan(), self.start(x)
        for _ in range(self.n_refinements):
            filled = torch.where(missing, rebuild(filled), filled)
        return filled

    def with_mask(self, filled: Tensor, x: Tensor) -> Tensor:
        """Return filled rows as the encoder takes them."""
        if not self.mask_as_input:
            return filled
        return torch.cat([filled, x.isnan().to(filled.dtype)], 1)
