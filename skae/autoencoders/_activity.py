"""How active the units of a code are."""

from __future__ import annotations

import numpy as np

from .._training import Source, read
from ._module import AutoencoderModule


def measure_activity(module: AutoencoderModule, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean of the code over the rows, and the units that are always 0.

    Parameters
    ----------
    module : AutoencoderModule
        Trained.
    source : Source
        The rows with their weights.

    Returns
    -------
    mean_activation : ndarray of shape (n_components,)
    dead_units : ndarray of shape (n_dead_units,)
        Their indices.
    """
    total, active = np.zeros(1), np.zeros(1, dtype=bool)
    for rows, weight in source.chunks():
        codes = read(module, lambda module, x: module.encode(x), rows)
        total = total + (codes.sum(axis=0, dtype=np.float64) if weight is None else weight @ codes)
        active = active | codes.any(axis=0)
    return total / source.total_weight, np.flatnonzero(~active)
