"""Samples of rows and features."""

from __future__ import annotations

from numbers import Integral

import numpy as np

# "auto" is at most so many rows for a learner, as in an isolation forest (Liu et al. 2008).
_AUTO_SAMPLES = 256


def draw(size: str | float, n: int, name: str, random_state: np.random.RandomState) -> np.ndarray:
    """Return the indices of a sample without replacement, ascending; of all `n` if that many."""
    if size == "auto":
        size = min(_AUTO_SAMPLES, n)
    n_drawn = size if isinstance(size, Integral) else max(1, round(float(size) * n))
    if n_drawn > n:
        raise ValueError(f"{name}={size} is more than there are: {n}.")
    if n_drawn == n:
        return np.arange(n)
    return np.sort(random_state.permutation(n)[:n_drawn])
