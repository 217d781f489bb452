"""Tables of rows: made dense, their weights, and equal rows merged."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def to_dense(X: np.ndarray | sparse.csr_matrix) -> np.ndarray:
    """Return `X` as an array, itself if it is one."""
    return X if isinstance(X, np.ndarray) else X.toarray()


def mean_one(weight: np.ndarray | None) -> np.ndarray | None:
    """Scale weights to a mean of 1; None if they are all equal."""
    if weight is None or (weight == weight[0]).all():
        return None
    return weight / weight.mean()


def merge_equal_rows(
    X: np.ndarray | sparse.csr_matrix, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Sort the rows and merge equal ones, adding up their weights."""
    dense = to_dense(X)
    dense = np.ascontiguousarray(dense) + np.float32(0)  # -0.0 and 0.0 are equal rows
    dense[np.isnan(dense)] = np.nan  # of one sign
    as_bytes = dense.view(np.dtype((np.void, dense.itemsize * dense.shape[1]))).ravel()
    _, first, group = np.unique(as_bytes, return_index=True, return_inverse=True)
    return dense[first], np.bincount(group, weights=weight)
