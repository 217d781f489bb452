"""A table on the device, cut into dense float32 batches by slicing tensors."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from scipy import sparse
from sklearn.model_selection import train_test_split
from torch import Tensor


def as_tensor(array: np.ndarray) -> Tensor:
    """Share the memory of `array` with a tensor where torch can, even if it is read-only."""
    with warnings.catch_warnings():
        # Read-only arrays are usual (joblib's memory maps); nothing here writes to X.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        backwards = any(stride < 0 for stride in array.strides)  # as X[::-1]; torch has none
        return torch.from_numpy(array.copy() if backwards else array)


def to_dense(X: np.ndarray | sparse.csr_matrix) -> np.ndarray:
    """Return `X` as an array, itself if it is one."""
    return X if isinstance(X, np.ndarray) else X.toarray()


def as_rows(
    X: np.ndarray | sparse.csr_matrix, weight: np.ndarray | None, device: torch.device
) -> Rows:
    """Put validated float32 rows on `device`."""
    on_device = (
        None if weight is None else torch.as_tensor(weight, dtype=torch.float32, device=device)
    )
    kind = SparseRows if sparse.issparse(X) else DenseRows
    return kind(X, on_device, device)


class Rows:
    """Rows of which a batch can be taken as a dense tensor.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    weight : Tensor of shape (n_rows,) or None
        Weight of each row, on the device.
    device : torch.device
        Where the batches are.
    """

    def __init__(self, n_rows: int, weight: Tensor | None, device: torch.device):
        self.n_rows, self.weight, self.device = n_rows, weight, device
        self._buffer = torch.empty(0)

    def take(self, index: Tensor) -> Tensor:
        """Return the rows at `index`, dense; the next call overwrites them."""
        raise NotImplementedError

    def between(self, start: int, stop: int) -> Tensor:
        """Return consecutive rows, dense; they are to be read alone."""
        return self.take(torch.arange(start, stop, device=self.device))

    def all(self) -> Tensor:
        """Return all rows, dense; they are to be read alone."""
        return self.between(0, self.n_rows)

    def _batch(self, n_rows: int, like: Tensor, *shape: int) -> Tensor:
        """Return memory for a batch, the same each time: fresh memory costs a few percent."""
        if self._buffer.shape[0] < n_rows:
            self._buffer = like.new_empty((n_rows, *shape))
        return self._buffer if self._buffer.shape[0] == n_rows else self._buffer[:n_rows]


class DenseRows(Rows):
    """A dense table, kept where it is if the device is too small for it."""

    def __init__(self, X: np.ndarray, weight: Tensor | None, device: torch.device):
        super().__init__(len(X), weight, device)
        self._table = as_tensor(X)
        if _fits(X.nbytes, device):
            self._table = self._table.to(device)

    def take(self, index: Tensor) -> Tensor:
        table = self._table
        batch = self._batch(len(index), table, *table.shape[1:])
        return torch.index_select(table, 0, index.to(table.device), out=batch).to(self.device)

    def between(self, start: int, stop: int) -> Tensor:
        return self._table[start:stop].to(self.device)


class SparseRows(Rows):
    """A CSR table on the device, of which only a batch at a time is made dense."""

    def __init__(self, X: sparse.csr_matrix, weight: Tensor | None, device: torch.device):
        super().__init__(X.shape[0], weight, device)
        self._n_columns = X.shape[1]
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        self._indptr = as_tensor(X.indptr).to(device, torch.int64)
        self._indices = as_tensor(X.indices).to(device)
        self._data = as_tensor(X.data).to(device)

    def take(self, index: Tensor) -> Tensor:
        start = self._indptr[index]
        count = self._indptr[index + 1] - start
        first = count.cumsum(0) - count
        # Entry number k of the batch is entry k + (start - first) of the table.
        row = torch.repeat_interleave(count)
        entry = torch.arange(len(row), device=self.device) + (start - first)[row]
        batch = self._batch(len(index), self._data, self._n_columns).zero_()
        batch.view(-1)[row * self._n_columns + self._indices[entry]] = self._data[entry]
        return batch


class Batches:
    """Rows in batches of nearly equal size, none larger than `batch_size`.

    Equal sizes avoid a last batch of a few rows, whose gradient is noise and whose
    batch statistics are none.

    Parameters
    ----------
    rows : Rows
        What to cut.
    batch_size : int
        Upper bound of the rows in a batch.
    generator : torch.Generator or None
        Source of the order, drawn anew each time the batches are iterated; None keeps
        the rows in their order.
    """

    def __init__(self, rows: Rows, batch_size: int, generator: torch.Generator | None = None):
        self.rows, self.generator = rows, generator
        self.n_batches = -(-rows.n_rows // batch_size)
        shortest, longer = divmod(rows.n_rows, self.n_batches)
        self.sizes = [shortest + (i < longer) for i in range(self.n_batches)]
        #: Share of the rows in each batch.
        self.share = torch.tensor(self.sizes, dtype=torch.float32, device=rows.device) / rows.n_rows

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        rows, weight = self.rows, self.rows.weight
        if self.n_batches == 1 or self.generator is None:
            start = 0
            for stop in itertools.accumulate(self.sizes):
                yield rows.between(start, stop), None if weight is None else weight[start:stop]
                start = stop
            return
        order = torch.randperm(rows.n_rows, generator=self.generator, device=rows.device)
        for index in order.split(self.sizes):
            yield rows.take(index), None if weight is None else weight[index]


def merge_equal_rows(
    X: np.ndarray | sparse.csr_matrix, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Sort the rows and merge equal ones, adding up their weights.

    A fit whose rows are one batch sees them as a weighted set: their order and whether
    a row of weight two stands there once or twice make no difference to the gradient.
    In this form they make no difference to its rounding either.
    """
    dense = to_dense(X)
    dense = np.ascontiguousarray(dense) + np.float32(0)  # -0.0 and 0.0 are equal rows
    as_bytes = dense.view(np.dtype((np.void, dense.itemsize * dense.shape[1]))).ravel()
    _, first, group = np.unique(as_bytes, return_index=True, return_inverse=True)
    return dense[first], np.bincount(group, weights=weight)


def drop_weightless(
    X: np.ndarray | sparse.csr_matrix, weight: np.ndarray | None
) -> tuple[np.ndarray | sparse.csr_matrix, np.ndarray | None]:
    """Leave out the rows of weight 0."""
    if weight is None or weight.all():
        return X, weight
    return X[weight > 0], weight[weight > 0]


def hold_out(
    X: np.ndarray | sparse.csr_matrix,
    weight: np.ndarray | None,
    fraction: float,
    random_state: np.random.RandomState,
) -> tuple:
    """Split rows and weights in training and validation: X, weight, X_val, weight_val."""
    if X.shape[0] < 2:
        raise ValueError(
            "Early stopping cannot hold out rows with n_samples=1; set early_stopping=False, "
            "or give X_val."
        )
    train_rows, held_out = train_test_split(
        np.arange(X.shape[0]), test_size=fraction, random_state=random_state
    )
    if weight is None:
        return X[train_rows], None, X[held_out], None
    return X[train_rows], weight[train_rows], X[held_out], weight[held_out]


def _fits(n_bytes: int, device: torch.device) -> bool:
    """Whether a table may stay on the device and leave half of what is free."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return n_bytes < free / 2
