"""What a step sees."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Some rows, and what is known of each, as tensors on the device.

    Attributes
    ----------
    x : Tensor of shape (n, n_features)
        The rows, dense; NaN where an entry is missing.
    weight : Tensor of shape (n,) or None
        Weight of each row; None if all weigh the same.
    condition : Tensor of shape (n, n_conditions) or None
        What a conditional model is conditioned on: labels or real values of each row.
    """

    x: Tensor
    weight: Tensor | None = None
    condition: Tensor | None = None
