"""Where batches come from, and in what order."""

from __future__ import annotations

import copy
import hashlib
import math
import warnings
from collections.abc import Hashable, Iterator
from typing import Any, Self

import numpy as np
import torch
from scipy import sparse
from sklearn.model_selection import train_test_split
from sklearn.utils import gen_batches
from torch import Tensor

from .._compute import DENSE_NUMBERS
from ._batch import Batch

# Rows that are written out to split a set by its weights, at most.
_MOST_REPEATS = 2**20


def as_tensor(array: np.ndarray) -> Tensor:
    """Share the memory of `array` with a tensor where torch can, even if it is read-only."""
    if any(stride < 0 for stride in array.strides):  # as X[::-1]; torch has none
        array = array.copy()
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        # Read-only arrays are usual (joblib's memory maps); nothing here writes to X.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(array)


def to_dense(X: np.ndarray | sparse.csr_matrix) -> np.ndarray:
    """Return `X` as an array, itself if it is one."""
    return X if isinstance(X, np.ndarray) else X.toarray()


def as_source(
    X: np.ndarray | sparse.csr_matrix,
    sample_weight: np.ndarray | None,
    device: torch.device,
    *,
    condition: np.ndarray | None = None,
    scaled: bool = True,
) -> Source:
    """Put validated float32 rows on `device`.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
        The rows.
    sample_weight : ndarray of shape (n_rows,) or None
        Their weights.
    device : torch.device
        Where batches are to be.
    condition : ndarray of shape (n_rows, n_conditions), optional
        The conditions of each row, for a conditional model.
    scaled : bool
        Whether batches have the weights with a mean of 1 over all rows, or as they are.
    """
    kind = SparseSource if sparse.issparse(X) else DenseSource
    return kind(X, sample_weight, device, condition=condition, scaled=scaled)


class Source:
    """Rows from which batches are taken as dense tensors on the device.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
        The rows.
    sample_weight : ndarray of shape (n_rows,) or None
        Their weights.
    device : torch.device
        Where the batches are.
    condition, scaled
        See `as_source`.
    """

    _fingerprint: Hashable = None  # until it is asked for

    def __init__(
        self,
        X: np.ndarray | sparse.csr_matrix,
        sample_weight: np.ndarray | None,
        device: torch.device,
        *,
        condition: np.ndarray | None = None,
        scaled: bool = True,
    ):
        self._X, self.device = X, device
        self.n_rows, self.n_features = X.shape
        self._attach(sample_weight, condition, scaled=scaled)
        self._buffer = torch.empty(0)

    def _attach(
        self, sample_weight: np.ndarray | None, condition: np.ndarray | None, *, scaled: bool
    ) -> None:
        """Attach weights and conditions to the rows."""
        self.sample_weight, self.condition = sample_weight, condition
        weight = mean_one(sample_weight) if scaled else sample_weight
        self._weight, self._condition = (
            None if one is None else torch.as_tensor(one, dtype=torch.float32, device=self.device)
            for one in (weight, condition)
        )

    @property
    def X(self) -> np.ndarray | sparse.csr_matrix:
        """The rows as they were given."""
        return self._X

    def __len__(self) -> int:
        return self.n_rows

    @property
    def total_weight(self) -> float:
        """The sum of the weights as they were given, or the number of rows."""
        return self.n_rows if self.sample_weight is None else float(self.sample_weight.sum())

    def with_own_buffer(self) -> Self:
        """Return the same rows with other memory for a batch, for another thread, say."""
        other = copy.copy(self)
        other._buffer = torch.empty(0)
        return other

    def shape(self) -> Hashable:
        """Return what the batches of two sources have in common that look alike."""
        attached = self.sample_weight, self.condition
        shapes = (None if one is None else one.shape for one in attached)
        return self.device, self.n_rows, self.n_features, *shapes

    def fingerprint(self) -> Hashable:
        """Return what two sources have in common whose batches hold the same bits."""
        if self._fingerprint is None:
            weight = None if self._weight is None else self._weight.cpu().numpy()
            of_arrays = [_digest(one) for one in (*self._arrays(), weight, self.condition)]
            self._fingerprint = type(self).__name__, self.shape(), *of_arrays
        return self._fingerprint

    def _arrays(self) -> list[Any]:
        """Return all that the rows are made of, as arrays."""
        return [self._X]

    def take(self, index: Tensor) -> Batch:
        """Return the rows at `index`; the next call overwrites them."""
        return Batch(self._rows(index), *self._attached(index))

    def between(self, start: int, stop: int) -> Batch:
        """Return consecutive rows, which are not to be written to."""
        return Batch(self._rows_between(start, stop), *self._attached(slice(start, stop)))

    def at(self, places: Tensor | slice) -> Batch:
        """Return the rows at these places, which are not to be written to."""
        if isinstance(places, slice):
            return self.between(places.start, places.stop)
        return self.take(places)

    def _attached(self, rows: Tensor | slice) -> tuple[Tensor | None, Tensor | None]:
        """Return the weights and conditions of some rows."""
        weight, condition = self._weight, self._condition
        return (
            None if weight is None else weight[rows],
            None if condition is None else condition[rows],
        )

    def all(self) -> Batch:
        """Return all rows, which are not to be written to."""
        return self.between(0, self.n_rows)

    def chunks(self) -> Iterator[tuple[np.ndarray | sparse.csr_matrix, np.ndarray | None]]:
        """Go through the rows and their weights once, some at a time, in their order."""
        weight = self.sample_weight
        for some in gen_batches(self.n_rows, max(1, DENSE_NUMBERS // self.n_features)):
            yield self._some(some), None if weight is None else weight[some]

    def as_set(self, batch_size: int) -> Source:
        """Return the rows in a fixed order, equal ones merged, if they are one batch.

        Such rows are a weighted set: their order, and whether a row of weight two is there once
        or twice, make no difference to the gradient of a sum over the rows. In this form they
        make no difference to its rounding either.
        """
        if self.n_rows > batch_size:
            return self
        return self._of_table(*merge_equal_rows(self._as_table(), self.sample_weight))

    def _as_table(self) -> np.ndarray | sparse.csr_matrix:
        """Return the rows with their conditions as further columns."""
        if self.condition is None:
            return self.X
        return np.hstack([to_dense(self.X), self.condition.astype(np.float32)])

    def _of_table(self, table: np.ndarray, weight: np.ndarray | None) -> Source:
        if self.condition is None:
            return as_source(table, weight, self.device)
        X, condition = np.hsplit(table, [self.n_features])
        return as_source(np.ascontiguousarray(X), weight, self.device, condition=condition)

    def hold_out(
        self, fraction: float, random_state: np.random.RandomState, batch_size: int = 0
    ) -> tuple[Source, Source]:
        """Split into rows to train on and rows to validate with; of many, nothing is copied.

        Rows that are one batch of `batch_size` are split as a set (see `as_set`), in which a
        weight that is a whole number counts as so many rows.

        Raises
        ------
        ValueError
            If none would be left to train on.
        """
        if math.ceil(fraction * self.n_rows) >= self.n_rows:
            raise ValueError(
                f"Early stopping cannot hold out rows with n_samples={self.n_rows}: "
                f"validation_fraction={fraction:g} leaves none to train on. Lower it, set "
                "early_stopping=False, or give X_val."
            )

        def split(numbers: np.ndarray) -> list[np.ndarray]:
            return train_test_split(numbers, test_size=fraction, random_state=random_state)

        if self.n_rows <= batch_size:
            rows, times = merge_equal_rows(self._as_table(), self.sample_weight)
            if (times == times.round()).all() and times.sum() <= _MOST_REPEATS:
                times = times.astype(int)
                parts = split(np.repeat(np.arange(len(rows)), times))
                counts = [np.bincount(part, minlength=len(rows)) for part in parts]
                training, validation = (
                    self._of_table(rows[count > 0], count[count > 0].astype(float))
                    for count in counts
                )
                return training, validation
        training, validation = (Subset(self, part) for part in split(np.arange(self.n_rows)))
        return training, validation

    def _some(self, rows: slice) -> np.ndarray | sparse.csr_matrix:
        """Return consecutive rows as they were given."""
        return self._X[rows]

    def _rows(self, index: Tensor) -> Tensor:
        raise NotImplementedError

    def _rows_between(self, start: int, stop: int) -> Tensor:
        return self._rows(torch.arange(start, stop, device=self.device))

    def _batch(self, n_rows: int, like: Tensor, *shape: int) -> Tensor:
        """Return memory for a batch, the same each time: fresh memory costs a few percent."""
        if self._buffer.shape[0] < n_rows:
            self._buffer = like.new_empty((n_rows, *shape))
        return self._buffer if self._buffer.shape[0] == n_rows else self._buffer[:n_rows]


class DenseSource(Source):
    """A dense table, kept where it is if the device is too small for it."""

    def __init__(self, X: np.ndarray, *arguments: Any, **settings: Any):
        super().__init__(X, *arguments, **settings)
        self._table = as_tensor(X)
        if _fits(X.nbytes, self.device):
            self._table = self._table.to(self.device)

    def _rows(self, index: Tensor) -> Tensor:
        table = self._table
        batch = self._batch(index.shape[0], table, *table.shape[1:])
        return torch.index_select(table, 0, index.to(table.device), out=batch).to(self.device)

    def _rows_between(self, start: int, stop: int) -> Tensor:
        return self._table[start:stop].to(self.device)


class SparseSource(Source):
    """A CSR table on the device, of which only a batch at a time is made dense."""

    def __init__(self, X: sparse.csr_matrix, *arguments: Any, **settings: Any):
        super().__init__(X, *arguments, **settings)
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        self._indptr = as_tensor(X.indptr).to(self.device, torch.int64)
        self._indices = as_tensor(X.indices).to(self.device)
        self._data = as_tensor(X.data).to(self.device)

    def _arrays(self) -> list[Any]:
        table: Any = self._X
        return [table.data, table.indices, table.indptr]

    def _rows(self, index: Tensor) -> Tensor:
        start = self._indptr[index]
        count = self._indptr[index + 1] - start
        first = count.cumsum(0) - count
        # Entry number k of the batch is entry k + (start - first) of the table.
        row = torch.repeat_interleave(count)
        entry = torch.arange(len(row), device=self.device) + (start - first)[row]
        batch = self._batch(len(index), self._data, self.n_features).zero_()
        batch.view(-1)[row * self.n_features + self._indices[entry]] = self._data[entry]
        return batch


class Subset(Source):
    """Some rows of a source, read from there.

    Parameters
    ----------
    source : Source
        All rows.
    numbers : ndarray of int
        Which of them, and in what order.
    """

    def __init__(self, source: Source, numbers: np.ndarray):
        self._all, self._numbers, self.device = source, numbers, source.device
        self.n_rows, self.n_features = len(numbers), source.n_features
        attached = (
            None if one is None else one[numbers]
            for one in (source.sample_weight, source.condition)
        )
        self._attach(*attached, scaled=True)
        self._index = torch.as_tensor(numbers, device=self.device)

    @property
    def X(self) -> np.ndarray | sparse.csr_matrix:
        """A copy of the rows."""
        return self._all.X[self._numbers]

    def _some(self, rows: slice) -> np.ndarray | sparse.csr_matrix:
        return self._all.X[self._numbers[rows]]

    def fingerprint(self) -> Hashable:
        return super().fingerprint(), self._all.fingerprint()

    def _arrays(self) -> list[Any]:
        return [self._numbers]

    def with_own_buffer(self) -> Self:
        other = super().with_own_buffer()
        other._all = self._all.with_own_buffer()
        return other

    def _rows(self, index: Tensor) -> Tensor:
        return self._all._rows(self._index[index])


def _digest(array: np.ndarray | None) -> Hashable:
    """Return what equal arrays have in common, and others have not."""
    if array is None:
        return None
    in_order = np.ascontiguousarray(array)
    return array.dtype.str, array.shape, hashlib.sha256(in_order.data).digest()


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


def drop_zero_weight(
    X: Any, weight: np.ndarray | None, condition: np.ndarray | None = None
) -> tuple[Any, np.ndarray | None, np.ndarray | None]:
    """Leave out the rows of weight 0."""
    if weight is None or weight.all():
        return X, weight, condition
    kept = weight > 0
    return X[kept], weight[kept], None if condition is None else condition[kept]


def _fits(n_bytes: int, device: torch.device) -> bool:
    """Whether a table may stay on the device and leave half of what is free."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return n_bytes < free / 2
