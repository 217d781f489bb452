"""What a dictionary says of many rows, which are read some at a time."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import Bunch, gen_batches
from sklearn.utils.validation import check_is_fitted

from .._compute import DENSE_NUMBERS
from .._training import RowStream, Source, read, to_dense
from .._validation import of_chunk, validate_rows
from ..layers import is_positive_int

# Rows of which the geometric median is taken, at most.
_MOST_ROWS = 4096

# The search for it ends after so many steps, or when one moves it by this part of the mean
# distance of the rows.
_MOST_STEPS, _SMALL = 100, 1e-6


def geometric_median(source: Source) -> np.ndarray:
    """Return the point with the least sum of distances to the rows (Weiszfeld's algorithm).

    Of many rows some are taken, evenly spaced.
    """
    if source.n_rows <= _MOST_ROWS:
        source = source.as_set(_MOST_ROWS)  # equal rows and weights give the same bits
    n_taken = min(source.n_rows, _MOST_ROWS)
    index = np.arange(n_taken) * source.n_rows // n_taken
    batch = source.take(torch.from_numpy(index).to(source.device))
    rows = batch.x.numpy(force=True).astype(np.float64)
    weight = np.ones(len(rows)) if batch.weight is None else batch.weight.numpy(force=True)
    point = np.average(rows, axis=0, weights=weight)
    for _ in range(_MOST_STEPS):
        distance = np.linalg.norm(rows - point, axis=1)
        mean = np.average(distance, weights=weight)
        if mean == 0:
            break
        share = weight / np.maximum(distance, _SMALL * mean)
        before, point = point, share @ rows / share.sum()
        if np.linalg.norm(point - before) <= _SMALL * mean:
            break
    return point.astype(np.float32)


def code_statistics(estimator: Any, X: Any) -> Bunch:
    """Return how sparse the codes of rows are; see `DictionaryAutoencoder.code_statistics`."""
    n_rows, n_active, error = 0, 0.0, 0.0
    total = squares = 0.0
    for rows, codes in _chunks(estimator, X):
        dense = to_dense(rows).astype(np.float64)
        rebuilt = read(estimator.module_, lambda module, z: module.decode(z), codes)
        error += np.square(dense - rebuilt).sum()
        centred = dense - estimator.module_.decoder.bias.numpy(force=True)
        total, squares = total + centred.sum(axis=0), squares + np.square(centred).sum(axis=0)
        n_active = n_active + np.count_nonzero(codes, axis=0)
        n_rows += len(codes)
    variance = float((squares - np.square(total) / n_rows).sum())
    density = np.asarray(n_active / n_rows)
    return Bunch(
        explained_variance=float(1 - error / variance) if variance > 0 else 0.0,
        l0=float(density.sum()),
        dead_share=float((density == 0).mean()),
        density=density,
    )


def top_activating(estimator: Any, X: Any, unit: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that activate a unit most; see `DictionaryAutoencoder.top_activating`."""
    check_is_fitted(estimator)
    n_components = estimator.module_.n_components
    if not is_positive_int(k):
        raise ValueError(f"k must be a positive integer, got {k!r}.")
    if not isinstance(unit, Integral) or isinstance(unit, bool) or not 0 <= unit < n_components:
        raise ValueError(f"unit must be an integer from 0 to {n_components - 1}, got {unit!r}.")
    found, values = np.empty(0, dtype=np.intp), np.empty(0)
    start = 0
    for _, codes in _chunks(estimator, X):
        active = np.flatnonzero(codes[:, unit])
        found = np.concatenate([found, start + active])
        values = np.concatenate([values, codes[active, unit]])
        best = np.argsort(-values, kind="stable")[:k]  # of equal ones the first
        found, values = found[best], values[best]
        start += len(codes)
    return found, values


def _chunks(estimator: Any, X: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """Go through rows and their codes, some at a time."""
    check_is_fitted(estimator)
    for rows in _validated(estimator, X):
        widest = max(estimator.module_.n_components, rows.shape[1])
        for some in gen_batches(rows.shape[0], max(1, DENSE_NUMBERS // widest)):
            chunk = rows[some]
            yield chunk, read(estimator.module_, lambda module, x: module.encode(x), chunk)


def _validated(estimator: Any, X: Any) -> Iterator[np.ndarray | sparse.csr_matrix]:
    """Go through the tables that rows are given in, of which a stream has many."""
    if not isinstance(X, RowStream):
        yield validate_rows(estimator, X, reset=False)
        return
    for number, chunk in enumerate(X):
        with of_chunk(number, "X"):
            yield validate_rows(estimator, chunk, reset=False)
