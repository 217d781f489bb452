"""Rows of any origin, in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .._training import RowStream, shape_of_chunk


class ChunkSource(RowStream):
    """Rows from a function that gives them in chunks, anew at each call.

    Handed as ``X`` to `fit`, `partial_fit` and the methods that apply a fitted estimator. An epoch
    goes through the chunks in their order and shuffles the rows of a window at a time. Chunks
    with no more rows than a window in all are fitted as one table, to the same bits.

    Parameters
    ----------
    factory : callable
        Without arguments; returns an iterable of chunks, the same ones at each call: arrays,
        DataFrames, tables of pyarrow, CSR matrices or tensors, all of one kind with the same
        columns, of any number of rows.
    window : int or "auto", default="auto"
        Number of rows that may be in memory at a time to be shuffled. Sorted rows, by date or by
        class, need a large window. "auto" is as many as 128 MB hold in float32. Two or three
        windows are in memory at most.

    Attributes
    ----------
    n_rows : int
        Number of rows. Before the first pass it takes one.
    shape : tuple of int
        Shape of the table that all rows are.

    Raises
    ------
    TypeError
        If `factory` is no function; in a pass, if it gives nothing to go through.
    ValueError
        If `window` is not valid; in a pass, if there are no rows, if a chunk is of another kind
        than the first or has other columns, or if there are other chunks than the time before.

    See Also
    --------
    ParquetSource : Rows from Parquet files.

    Notes
    -----
    With early stopping, whole chunks are held out, drawn at random.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import Autoencoder
    >>> from skae.streaming import ChunkSource
    >>> def chunks():
    ...     for seed in range(10):  # from files, a database, a simulation
    ...         yield np.random.default_rng(seed).random((100, 5))
    >>> source = ChunkSource(chunks, window=300)
    >>> autoencoder = Autoencoder(2, max_iter=5, tol=1, random_state=0).fit(source)
    >>> autoencoder.score_samples(source).shape
    (1000,)
    """

    def __init__(self, factory: Callable[[], Iterable[Any]], *, window: int | str = "auto"):
        super().__init__(window)
        if not callable(factory) or isinstance(factory, type):
            raise TypeError(
                "factory must be a function that returns the chunks anew at each call, got "
                f"{type(factory).__name__}; for a list of chunks, give ``lambda: chunks``."
            )
        self.factory = factory
        self._sizes: list[int] | None = None

    @property
    def sizes(self) -> Sequence[int]:
        """The number of rows in each chunk, which takes a pass the first time."""
        if self._sizes is None:
            for _ in self.read():
                pass
        return self._sizes or []

    def read(self, pieces: Sequence[int] | None = None) -> Iterator[tuple[int, Any]]:
        """Go through the chunks with their numbers; all of them are made, whatever is wanted."""
        wanted, sizes = None if pieces is None else set(pieces), list[int]()
        first: Any = None
        for chunk in self._made():
            shape = shape_of_chunk(chunk)
            first = chunk if first is None else first
            number = len(sizes)
            _check_alike(number, chunk, shape, first)
            if shape[0] == 0:
                continue
            sizes.append(shape[0])
            if self._sizes is not None and sizes[-1:] != self._sizes[number : number + 1]:
                raise self._changed(sizes, "at least ")
            if wanted is None or number in wanted:
                yield number, chunk
        if self._sizes is None and sizes:
            self._sizes = sizes
        elif sizes != self._sizes:
            raise self._changed(sizes)

    def _made(self) -> Iterator[Any]:
        made = self.factory()
        try:
            return iter(made)
        except TypeError:
            raise TypeError(
                f"factory must return an iterable of chunks, but it returned {type(made).__name__}."
            ) from None

    def _changed(self, sizes: Sequence[int], bound: str = "") -> ValueError:
        if not self._sizes:
            return ValueError("X has no rows: the factory of ChunkSource gave no chunk with any.")
        return ValueError(
            f"The factory of ChunkSource gave {len(self._sizes)} chunks with {sum(self._sizes)} "
            f"rows before and {bound}{len(sizes)} with {sum(sizes)} now; it must return the same "
            "chunks at each call, and not one generator that is exhausted after the first."
        )


def _check_alike(number: int, chunk: Any, shape: tuple[int, ...], first: Any) -> None:
    """Raise ValueError if a chunk is no table, or not one like the first."""
    name = f"Chunk {number + 1} of X"
    if len(shape) < 2:
        raise ValueError(
            f"{name} has shape {shape}; chunks must have two or more dimensions, "
            "the first one for the rows."
        )
    if _library(chunk) != _library(first):
        raise ValueError(
            f"{name} is of type {type(chunk).__name__}, but the first chunk is of type "
            f"{type(first).__name__}. All chunks must be of one kind."
        )
    here, there = _columns_of(chunk), _columns_of(first)
    if here == there and shape[1:] == shape_of_chunk(first)[1:]:
        return
    if set(here) == set(there):
        shown = [
            f"columns {', '.join(map(str, names))}" if names else f"rows of shape {of_chunk[1:]}"
            for names, of_chunk in ((here, shape), (there, shape_of_chunk(first)))
        ]
        found = f"{shown[0]}, but the first chunk has {shown[1]}"
    else:
        parts = [("lacks", set(there) - set(here)), ("has besides", set(here) - set(there))]
        said = [f"{verb} {', '.join(sorted(map(repr, some)))}" for verb, some in parts if some]
        found = f"other columns than the first chunk: it {' and '.join(said)}"
    raise ValueError(f"{name} has {found}. All chunks need the same columns in the same order.")


def _columns_of(chunk: Any) -> list[Any]:
    """Return the names of columns; none of arrays."""
    return list(getattr(chunk, "column_names", getattr(chunk, "columns", [])))  # of Arrow, others


def _library(chunk: Any) -> str:
    """Return where the type of a chunk comes from; lists are arrays."""
    return type(chunk).__module__.partition(".")[0].replace("builtins", "numpy")
