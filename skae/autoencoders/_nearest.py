"""The nearest of a sample of rows, where entries may be missing (NaN)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import Tags
from sklearn.utils._param_validation import StrOptions
from torch import Tensor

from .._compute import chunk_rows, limit_threads, map_chunks
from .._missing import fill_with_means, has_missing, refuse_empty_rows
from .._training import to_dense
from .._validation import CheckedParameters, validate_rows
from ..losses import powers_of_differences

# Rows of the sample whose mean an entry of the sample is taken for that is missing.
_N_NEIGHBOURS = 5

# How often these are looked for: at first by what is observed, then by what was found as well.
_N_PASSES = 2


class RowSample(CheckedParameters):
    """What the learners have in common that compare rows with some of the training rows."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "missing_values": [StrOptions({"refuse", "mask"})],
        "random_state": ["random_state"],
    }

    missing_values: str

    def _validated(self, X: Any, *, reset: bool) -> np.ndarray | sparse.csr_matrix:
        rows = validate_rows(self, X, reset=reset)
        if self.missing_values == "mask":
            refuse_empty_rows(rows)
        return rows

    def _n_entries(self) -> int:
        """Return how many entries the rows are compared with at a time."""
        raise NotImplementedError

    def _read(self, X: Any, method: Callable[[Tensor], Tensor], n_columns: int) -> np.ndarray:
        """Return what a method says of rows, a chunk at a time."""
        read = np.empty((X.shape[0], n_columns), dtype=X.dtype)
        n_at_a_time = min(chunk_rows(self._n_entries()), X.shape[0])

        def fill(chunk: slice) -> None:
            x = torch.from_numpy(np.array(to_dense(X[chunk]), order="C"))
            read[chunk] = method(x).numpy()

        work = n_at_a_time * self._n_entries() * X.shape[1]
        map_chunks(fill, X.shape[0], n_at_a_time, work)
        return read

    def _mean_error(self, errors: Tensor) -> Tensor:
        """Return the mean error of the observed entries of each row; NaN of those that miss."""
        return errors.mean(1) if self.missing_values == "refuse" else errors.nanmean(1)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.missing_values == "mask"
        return tags


def themselves(distances: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices of the rows that are equal to just one of the entries, and of that entry.

    None if there is one entry alone.
    """
    if distances.shape[1] == 1:  # there is no other to compare them with
        none = torch.empty(0, dtype=torch.long)
        return none, none
    at_zero = (distances.amin(1) == 0).nonzero()[:, 0]  # few rows, so that the search is cheap
    is_same = distances[at_zero] == 0
    alone = is_same.sum(1) == 1
    return at_zero[alone], is_same[alone].int().argmax(1)


def drawn_rows(
    X: np.ndarray | sparse.csr_matrix, weight: np.ndarray | None, drawn: np.ndarray
) -> np.ndarray:
    """Return some rows, dense, without missing entries.

    These are taken for the mean of the nearest others among those rows, which are compared by
    what is observed, and then once more by all; at first these have the mean of the feature where
    they miss one.

    Raises
    ------
    ValueError
        If all entries of a column are missing.
    """
    rows = to_dense(X[drawn])
    if not has_missing(X):
        return rows
    weight = np.ones(X.shape[0]) if weight is None else weight
    filled = to_dense(fill_with_means(X, weight)[drawn])
    gaps = np.flatnonzero(np.isnan(rows).any(axis=1))
    n_neighbours = min(_N_NEIGHBOURS, len(rows) - 1)
    if n_neighbours == 0 or not len(gaps):
        return filled
    missing, compared = np.isnan(rows[gaps]), rows[gaps]
    with limit_threads(0):
        for _ in range(_N_PASSES):
            distances = powers_of_differences(
                torch.from_numpy(compared), torch.from_numpy(filled), 1
            )
            distances[torch.arange(len(gaps)), torch.from_numpy(gaps)] = torch.inf
            nearest = distances.topk(n_neighbours, dim=1, largest=False).indices.numpy()
            compared = np.where(missing, filled[nearest].mean(axis=1), rows[gaps])
            filled = filled.copy()
            filled[gaps] = compared
    return filled
