"""Missing entries of rows. An entry that is missing is NaN, in arrays and in tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from ._compute import DENSE_NUMBERS
from ._training import Source, to_dense


def has_missing(X: Any) -> bool:
    """Return whether some entry of an array of numbers, or a CSR matrix, is missing."""
    entries = X.data if sparse.issparse(X) else X
    # The sum would overflow, and a mask of all entries take up memory.
    return bool(entries.size and np.isnan(entries.min()))


def observed_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of each row over what is not NaN; of rows without NaN, the plain mean."""
    means = values.mean(axis=1)
    if (has_gaps := np.isnan(means)).any():
        means[has_gaps] = np.nanmean(values[has_gaps], axis=1)
    return means


def typical_values(values: np.ndarray) -> np.ndarray:
    """Return the median of each column of values that are not negative, without what is missing.

    Where that is 0, it is the mean; where both are, it is 1.
    """
    typical = np.nanmedian(values, axis=0).astype(np.float64)
    typical = np.where(typical > 0, typical, np.nanmean(values, axis=0))
    return np.where((typical > 0) & np.isfinite(typical), typical, 1.0)


def refuse_empty_rows(X: np.ndarray | sparse.csr_matrix, name: str = "X") -> None:
    """Refuse rows that have no value at all.

    Raises
    ------
    ValueError
        If all entries of a row are missing.
    """
    if not has_missing(X):
        return
    for chunk in gen_batches(X.shape[0], max(1, DENSE_NUMBERS // X.shape[1])):
        empty = np.isnan(to_dense(X[chunk])).all(axis=1)
        if empty.any():
            row = chunk.start + int(empty.argmax())
            raise ValueError(
                f"Row {row} of {name} has no value, all its entries are NaN; leave such rows out."
            )


def observed_sums(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted sum of the observed entries of each feature, and their weight."""
    sums = np.zeros((2, source.n_features))
    for rows, weight in source.chunks():
        dense = to_dense(rows).astype(np.float64)
        observed = ~np.isnan(dense)
        each = np.ones(len(dense)) if weight is None else weight
        sums += each @ np.where(observed, dense, 0), each @ observed
    return sums[0], sums[1]


def means_of(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the means of the observed entries.

    Raises
    ------
    ValueError
        If all entries of a feature are missing.
    """
    if not weights.all():
        raise ValueError(
            f"Column {int(weights.argmin())} of X has no value, all its entries are NaN; leave "
            "such columns out."
        )
    return sums / weights


def fill_with_means(X: Any, weight: np.ndarray) -> Any:
    """Return `X` with the mean of its column in place of each missing entry.

    Raises
    ------
    ValueError
        If all entries of a column are missing.
    """
    if not has_missing(X):
        return X
    if sparse.issparse(X):
        missing = np.isnan(X.data)
        X, weight_of_entry = X.copy(), np.repeat(weight, np.diff(X.indptr))
        known = weight_of_entry * ~missing
        gaps = np.bincount(X.indices, weight_of_entry * missing, X.shape[1])
        sums = np.bincount(X.indices, known * np.where(missing, 0, X.data), X.shape[1])
        # The entries that are not stored are known to be 0.
        X.data[missing] = means_of(sums, weight.sum() - gaps)[X.indices[missing]]
        return X
    missing = np.isnan(X)
    sums = weight @ np.nan_to_num(X)
    return np.where(missing, means_of(sums, weight @ ~missing), X).astype(X.dtype)
