"""The point that the rows of a map are taken relative to, so that large offsets do no harm."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches
from torch import Tensor

from .._compute import DENSE_NUMBERS
from .._training import RowStream
from ._checks import check_not_too_large

# A feature is moved by a multiple of so many standard deviations, rounded up to a power of two.
# What is left has all but 5 of the 24 bits of float32 for these deviations. Features whose mean is
# near 0 are left alone, and the order in which a mean was added up makes no difference.
_STEP = 8


class Centre:
    """A point near the mean of the rows, subtracted from them before they become float32.

    Parameters
    ----------
    point : ndarray of float64 of shape (n_features,)
        In the units of the rows.
    """

    def __init__(self, point: np.ndarray):
        self.point = point
        #: Whether there is anything to subtract.
        self.moves = bool(point.any())

    def rows(self, X: Any, n_terms: int | None = None) -> Any:
        """Return rows for training: less the point, in float32 and C order.

        Parameters
        ----------
        X : ndarray, CSR matrix or RowStream of shape (n_samples, n_features)
            The rows.
        n_terms : int, optional
            How many squares are added up; by default one for each entry.

        Raises
        ------
        ValueError
            If the squares of their distances are too large for float32.
        """
        n_terms = X.shape[0] * X.shape[1] if n_terms is None else n_terms
        if isinstance(X, RowStream):
            return X.map(partial(self.rows, n_terms=n_terms))
        with np.errstate(over="ignore"):  # an overflow is infinity, and refused as such
            if sparse.issparse(X):
                moved = X.astype(np.float32)
            elif not self.moves:
                moved = np.ascontiguousarray(X, dtype=np.float32)
            else:
                moved = np.empty(X.shape, dtype=np.float32)
                for chunk in _chunks(X):
                    moved[chunk] = X[chunk] - self.point
        check_not_too_large(moved, n_terms)
        return moved

    def subtract(self, x: Tensor) -> Tensor:
        """Return rows of float32 or float64 less the point."""
        if not self.moves:
            return x
        for part in self._parts(x):
            x = x - part
        return x

    def add(self, x: Tensor, times: Tensor | float = 1.0) -> Tensor:
        """Return rows plus so many times the point."""
        if not self.moves:
            return x
        for part in self._parts(x):
            x = x + times * part
        return x

    def _parts(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the point in the dtype of `x`, and what is left of it if that is float32."""
        point = torch.from_numpy(self.point)
        if x.dtype == torch.float64:
            return (point.to(x.device),)
        high = point.to(torch.float32)
        return high.to(x.device), (point - high).to(torch.float32).to(x.device)


def centre_of(X: Any, weight: np.ndarray | None, metric: str) -> Centre:
    """Return the centre of weighted rows, which leaves out missing entries.

    With the metric "cosine" and for sparse rows, whose zeros have to stay, it is the origin.
    """
    origin = Centre(np.zeros(X.shape[1]))
    if metric == "cosine" or sparse.issparse(next(iter(X)) if isinstance(X, RowStream) else X):
        return origin
    scaler, low, high = StandardScaler(), np.inf, -np.inf
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without a value
        n_done = 0
        for rows in X if isinstance(X, RowStream) else (X[chunk] for chunk in _chunks(X)):
            block = np.asarray(rows, dtype=np.float64)
            some = None if weight is None else weight[n_done : n_done + len(block)]
            n_done += len(block)
            if some is not None:
                block, some = block[some > 0], some[some > 0]
                if not len(some):
                    continue
            scaler.partial_fit(block, sample_weight=some)
            low = np.fmin(low, np.fmin.reduce(block, axis=0, initial=np.inf))
            high = np.fmax(high, np.fmax.reduce(block, axis=0, initial=-np.inf))
        step = 2 ** np.ceil(np.log2(_STEP * np.sqrt(scaler.var_)))
        point = np.where(high > low, np.trunc(scaler.mean_ / step) * step, low)
    return Centre(np.where(np.isfinite(point), point, 0.0))


def _chunks(X: np.ndarray) -> list[slice]:
    return list(gen_batches(X.shape[0], max(1, DENSE_NUMBERS // X.shape[1])))
