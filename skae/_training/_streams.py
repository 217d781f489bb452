"""Rows that are read anew, a chunk at a time, whenever something goes through them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import InvalidParameterError

Item = TypeVar("Item")

# Numbers in a window by default: 128 MB in float32.
_WINDOW_NUMBERS = 2**25


class RowStream:
    """Rows in chunks, the same in each pass.

    Chunks belong to pieces, such as the row groups of a file, of which a pass may leave some out.

    Parameters
    ----------
    window : int or "auto"
        Number of rows that may be in memory at a time to be shuffled.
    """

    #: Whether pieces can be read in any order, by any thread; else a pass goes through all of them.
    can_jump: bool = False

    def __init__(self, window: int | str = "auto"):
        is_number = isinstance(window, int | np.integer) and not isinstance(window, bool)
        if window != "auto" and not (is_number and int(window) >= 1):
            raise InvalidParameterError(
                f"window must be 'auto' or a number of rows of at least 1, got {window!r}."
            )
        self.window = window

    def read(self, pieces: Sequence[int] | None = None) -> Iterator[tuple[int, Any]]:
        """Go through chunks once, each with the number of its piece.

        Parameters
        ----------
        pieces : sequence of int, optional
            Which pieces, and in what order; in ascending order where they cannot be jumped to.

        Yields
        ------
        int, chunk
        """
        raise NotImplementedError

    @property
    def sizes(self) -> Sequence[int]:
        """The number of rows in each piece."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        chunks = (chunk for _, chunk in self.read())
        return _ahead(chunks) if self.can_jump else chunks

    @cached_property
    def _width(self) -> tuple[int, ...]:
        return tuple(shape_of(next(iter(self)))[1:])

    @property
    def n_rows(self) -> int:
        """The number of all rows."""
        return int(sum(self.sizes))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the table that all rows are."""
        return self.n_rows, *self._width

    @property
    def window_rows(self) -> int:
        """Number of rows in a window."""
        if self.window == "auto":
            return max(1, _WINDOW_NUMBERS // max(1, int(np.prod(self._width))))
        return int(self.window)

    def map(self, function: Callable[[Any], Any]) -> RowStream:
        """Return the rows as a function of each chunk gives them, one for one.

        Parameters
        ----------
        function : callable
            From a chunk to as many rows, of which each depends on its own row alone: ``transform``
            of a fitted scaler, for instance. It is called anew in each pass.

        Returns
        -------
        source
            That can be handed as X as this one can. A pass through it raises ValueError where
            `function` returns more or fewer rows than it was given.
        """
        return _Mapped(self, function)

    def select(self, kept: np.ndarray) -> RowStream:
        """Return some of the rows, which are still read in chunks.

        Parameters
        ----------
        kept : ndarray of bool of shape (n_rows,)
            Which rows.

        Returns
        -------
        source
            Pieces without any of them are not read, where they can be jumped over.

        Raises
        ------
        ValueError
            If `kept` is not one bool for each row, or all are False.
        """
        kept = np.asarray(kept)
        if kept.dtype != bool or kept.shape != (self.n_rows,) or not kept.any():
            raise ValueError(
                f"kept must be an array of {self.n_rows} bools, one for each row and some of them "
                f"True; got {kept!r}."
            )
        return _Selected(self, kept)

    def take(self, numbers: np.ndarray) -> Any:
        """Return some of the rows in memory.

        Parameters
        ----------
        numbers : array-like of int
            The numbers of the rows, from 0.

        Returns
        -------
        ndarray, CSR matrix or DataFrame
            As the chunks are, in the order of `numbers`.

        Raises
        ------
        ValueError
            If `numbers` is empty, or holds what is no number of a row.
        """
        numbers = np.asarray(numbers)
        is_valid = numbers.dtype.kind in "iu" and numbers.ndim == 1 and numbers.size > 0
        if not is_valid or numbers.min() < 0 or numbers.max() >= self.n_rows:
            raise ValueError(
                f"numbers must be one or more integers from 0 to {self.n_rows - 1}, got "
                f"{numbers!r}."
            )
        kept = np.zeros(self.n_rows, dtype=bool)
        kept[numbers] = True
        rows = joined_rows(self.select(kept))
        if len(numbers) == shape_of(rows)[0] and (np.diff(numbers) > 0).all():
            return rows
        return _safe_indexing(rows, np.searchsorted(np.flatnonzero(kept), numbers))

    def spread(self, n_rows: int) -> np.ndarray:
        """Return the numbers of rows that are evenly spaced over all, for `take`.

        Parameters
        ----------
        n_rows : int
            How many at most.

        Returns
        -------
        ndarray of int
        """
        n_all = self.n_rows
        n_rows = min(n_rows, n_all)
        return np.arange(n_rows) * n_all // n_rows

    def __getitem__(self, _: Any) -> Any:
        self.__array__()

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError(
            "X is a source of chunks, but what was called needs a table in memory; call it for "
            "each chunk (``for chunk in source``), partial_fit for instance, or hand the source to "
            "an estimator of skae that takes it."
        )


class _Mapped(RowStream):
    def __init__(self, rows: RowStream, function: Callable[[Any], Any]):
        super().__init__(rows.window)
        self._rows, self._function = rows, function
        self.can_jump = rows.can_jump

    def read(self, pieces: Sequence[int] | None = None) -> Iterator[tuple[int, Any]]:
        for piece, chunk in self._rows.read(pieces):
            rows = self._function(chunk)
            if shape_of(rows)[:1] != shape_of(chunk)[:1]:
                raise ValueError(
                    f"The function given to map must return one row for each row of a chunk; of "
                    f"{shape_of(chunk)[0]} rows it returned an object of shape {shape_of(rows)}. "
                    "Leave rows out by select."
                )
            yield piece, rows

    @property
    def sizes(self) -> Sequence[int]:
        return self._rows.sizes


class _Selected(RowStream):
    def __init__(self, rows: RowStream, kept: np.ndarray):
        super().__init__(rows.window)
        self._rows, self._kept = rows, kept
        self.can_jump = rows.can_jump
        self._starts = starts_of(rows.sizes)
        ends = self._starts + rows.sizes
        self._sizes = [
            int(kept[slice(*both)].sum()) for both in zip(self._starts, ends, strict=True)
        ]

    @property
    def sizes(self) -> Sequence[int]:
        return self._sizes

    def read(self, pieces: Sequence[int] | None = None) -> Iterator[tuple[int, Any]]:
        pieces = range(len(self._sizes)) if pieces is None else pieces
        places = self._starts.copy()  # of the next chunk of each piece
        for piece, chunk in self._rows.read([one for one in pieces if self._sizes[one]]):
            n_rows = shape_of(chunk)[0]
            kept = self._kept[places[piece] : places[piece] + n_rows]
            places[piece] += n_rows
            if kept.all():
                yield piece, chunk
            elif kept.any():
                yield piece, _safe_indexing(chunk, np.flatnonzero(kept))


class SourceStream(RowStream):
    """The rows of a source.

    Parameters
    ----------
    source : Source
        Gone through by its `chunks`.
    """

    def __init__(self, source: Any):
        super().__init__()
        self._source = source

    @cached_property
    def sizes(self) -> Sequence[int]:
        return [rows.shape[0] for rows, _ in self._source.chunks()]

    def read(self, pieces: Sequence[int] | None = None) -> Iterator[tuple[int, Any]]:
        for piece, (rows, _) in enumerate(self._source.chunks()):
            if pieces is None or piece in pieces:
                yield piece, rows


def starts_of(sizes: Sequence[int]) -> np.ndarray:
    """Return the number of the first row of each piece."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=int)])[: len(sizes)]


def shape_of(chunk: Any) -> tuple[int, ...]:
    """Return the shape of a chunk of any kind."""
    return tuple(chunk.shape) if hasattr(chunk, "shape") else np.asarray(chunk).shape


def joined_rows(chunks: Iterable[Any]) -> Any:
    """Return chunks in one."""
    parts = list(chunks)
    if len(parts) == 1:
        return parts[0]
    kind = type(parts[0]).__module__.partition(".")[0]
    if kind == "pandas":
        return sys.modules[kind].concat(parts, ignore_index=True)
    if kind == "polars":
        return sys.modules[kind].concat(parts)
    if kind == "pyarrow":
        return sys.modules[kind].concat_tables(parts)
    if kind == "torch":
        return torch.cat(parts)
    return sparse.vstack(parts, "csr") if sparse.issparse(parts[0]) else np.concatenate(parts)


def in_memory(X: Any) -> Any:
    """Return the rows of a stream as one table if they fit in its window; others as they are."""
    if not isinstance(X, RowStream) or (X.can_jump and X.n_rows > X.window_rows):
        return X
    parts, n_rows = [], 0
    for chunk in X:
        parts.append(chunk)
        n_rows += shape_of(chunk)[0]
        if n_rows > X.window_rows:
            return X
    return joined_rows(parts)


def through(function: Callable[[Any], Any], X: Any) -> Any:
    """Return ``function(X)``, of a stream a chunk at a time when it is read."""
    return X.map(function) if isinstance(X, RowStream) else function(X)


def in_windows(rows: RowStream, pieces: Sequence[int]) -> Iterator[Any]:
    """Go through float32 rows of some pieces in this order, cut into windows.

    Where another thread may read, it prepares the next window meanwhile.
    """
    windows = _cut((chunk for _, chunk in rows.read(pieces)), rows.window_rows)
    return _ahead(windows) if rows.can_jump else windows


def _cut(chunks: Iterator[Any], n_rows: int) -> Iterator[Any]:
    parts: list[Any] = []
    n_done, table = 0, np.empty((0, 0))
    for chunk in chunks:
        start, n_chunk = 0, chunk.shape[0]
        is_dense = isinstance(chunk, np.ndarray)
        while start < n_chunk:
            part = chunk[start : start + n_rows - n_done]
            start += part.shape[0]
            if is_dense:
                if n_done == 0:
                    table = np.empty((n_rows, chunk.shape[1]), dtype=chunk.dtype)
                table[n_done : n_done + len(part)] = part
            else:
                parts.append(part)
            n_done += part.shape[0]
            if n_done == n_rows:
                yield table if is_dense else joined_rows(parts)
                parts, n_done, table = [], 0, np.empty((0, 0))
    if n_done:
        yield joined_rows(parts) if parts else table[:n_done]


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Go through items, the next of which another thread prepares meanwhile."""
    end: Any = object()
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, items, end)
        while (item := following.result()) is not end:
            following = pool.submit(next, items, end)
            yield item
