"""How many kinds of rows a generator gives."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

# Which neighbour of a row says how far its surroundings reach.
_N_NEIGHBORS = 5


def coverage(X: np.ndarray, samples: np.ndarray) -> float:
    """Return the fraction of rows with a sample in their surroundings (Naeem et al. 2020).

    The surroundings of a row reach to its fifth neighbour among the rows, or to the last, if
    there are fewer.

    Parameters
    ----------
    X, samples : ndarray of shapes (n_rows, n_features) and (n_samples, n_features)
        Rows, and what should look like them.

    Returns
    -------
    float
        From 0 to 1.
    """
    neighbors = NearestNeighbors().fit(X)
    k = min(_N_NEIGHBORS, len(X) - 1)
    radius = neighbors.kneighbors(X, k + 1)[0][:, -1]  # the row itself is one of them
    nearest = NearestNeighbors(n_neighbors=1).fit(samples).kneighbors(X)[0][:, 0]
    return float(np.mean(nearest <= radius))
