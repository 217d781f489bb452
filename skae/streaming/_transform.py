"""Results of many rows, written where they are to go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import _safe_indexing, gen_batches
from sklearn.utils.validation import check_is_fitted

from .._compute import DENSE_NUMBERS
from .._training import RowStream, shape_of_chunk
from .._validation import of_chunk

# Methods whose results have the columns of the rows.
_REBUILD = ("inverse_transform", "reconstruct", "impute")


def transform(estimator: Any, X: Any, out: Any, *, method: str = "transform") -> Any:
    """Write what a fitted estimator makes of many rows, a chunk at a time.

    Parameters
    ----------
    estimator : estimator
        Fitted: one of this package, or a pipeline, or any other of scikit-learn's.
    X : ParquetSource, ChunkSource or table of shape (n_samples, n_features)
        The rows: a source; or an array, memory map, CSR matrix or DataFrame.
    out : ndarray, str or path-like
        Where the results go: an array with a row for each, usually a memory map
        (``numpy.lib.format.open_memmap``); or the name of a Parquet file, which is replaced as a
        whole when it is complete.
    method : str, default="transform"
        Which method of the estimator is called for each chunk: "score_samples", "predict",
        "reconstruct" or "inverse_transform", for instance.

    Returns
    -------
    ndarray, str or path-like
        `out`. Columns of a Parquet file are named by `get_feature_names_out` for "transform", as
        the features for reconstructions, and otherwise after the method.

    Raises
    ------
    ValueError
        If `out` cannot be written to, or has not the shape of the results or another kind of
        numbers; if a chunk is not valid, or the method does not give a result for each row.
    TypeError
        If the estimator has no such method, or `out` is neither an array nor a name.
    ImportError
        If a Parquet file is to be written and pyarrow is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import Autoencoder
    >>> from skae.streaming import ChunkSource, transform
    >>> rows = np.random.default_rng(0).random((500, 4)).astype(np.float32)
    >>> autoencoder = Autoencoder(2, max_iter=3, tol=1, random_state=0).fit(rows)
    >>> source = ChunkSource(lambda: np.array_split(rows, 7))
    >>> codes = np.empty((500, 2), dtype=np.float32)  # or a memory map
    >>> codes = transform(autoencoder, source, codes)
    >>> bool(np.allclose(codes, autoencoder.transform(rows), atol=1e-6))
    True
    """
    check_is_fitted(estimator)
    if not callable(getattr(estimator, method, None)):
        raise TypeError(f"{type(estimator).__name__} has no method {method!r}.")
    results = _results(getattr(estimator, method), X)
    if isinstance(out, np.ndarray):
        _fill(out, results, method)
    elif isinstance(out, str | os.PathLike):
        _write(Path(out), results, estimator, method)
    else:
        raise TypeError(
            "out must be an array or memory map to fill, or the name of a Parquet file to write, "
            f"got {type(out).__name__}."
        )
    return out


def _results(function: Any, X: Any) -> Iterator[Any]:
    for number, chunk in enumerate(X if isinstance(X, RowStream) else _chunks(X)):
        with of_chunk(number, "X"):
            result = function(chunk)
        n_rows = shape_of_chunk(chunk)[0]
        if shape_of_chunk(result)[:1] != (n_rows,):
            raise ValueError(
                f"{function.__name__} does not give one result for each row of X; of {n_rows} rows "
                f"it returned an object of type {type(result).__name__}."
            )
        yield result.toarray() if sparse.issparse(result) else result


def _chunks(X: Any) -> Iterator[Any]:
    n_rows, *others = shape_of_chunk(X)
    if n_rows == 0:
        raise ValueError("X has no rows.")
    for some in gen_batches(n_rows, max(1, DENSE_NUMBERS // max(1, int(np.prod(others))))):
        yield _safe_indexing(X, some)


def _fill(out: np.ndarray, results: Iterator[Any], method: str) -> None:
    if not out.flags.writeable:
        raise ValueError("out cannot be written to; open the memory map with mode 'r+' or 'w+'.")
    n_done = 0
    for result in results:
        rows = np.asarray(result)
        stop = n_done + len(rows)
        if rows.shape[1:] != out.shape[1:] or stop > len(out):
            raise ValueError(
                f"out has shape {out.shape}, but {method} gives {stop} rows or more, each of shape "
                f"{rows.shape[1:]}."
            )
        if not np.can_cast(rows.dtype, out.dtype, "same_kind"):
            raise ValueError(f"out holds {out.dtype}, but {method} gives {rows.dtype}.")
        out[n_done:stop] = rows
        n_done = stop
    if n_done < len(out):
        raise ValueError(f"out has {len(out)} rows, but {method} gave {n_done}.")


def _write(path: Path, results: Iterator[Any], estimator: Any, method: str) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "out names a Parquet file, for which pyarrow is needed; install it with "
            "``pip install 'skae[parquet]'``, or give a memory map."
        ) from error
    unfinished, writer = path.with_name(path.name + ".unfinished"), None
    try:
        for result in results:
            names = _names(result, estimator, method)
            rows = np.asarray(result)
            columns = rows.reshape(len(rows), -1).T
            table = pa.table(dict(zip(names, map(pa.array, columns), strict=True)))
            writer = writer or parquet.ParquetWriter(unfinished, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()
            unfinished.replace(path)
    finally:
        if writer is not None:
            writer.close()
        unfinished.unlink(missing_ok=True)


def _names(result: Any, estimator: Any, method: str) -> list[str]:
    """Return a name for each column of results."""
    shape = shape_of_chunk(result)
    width = int(np.prod(shape[1:]))
    if len(shape) == 1:
        return [method]
    if hasattr(result, "columns"):
        return list(map(str, result.columns))
    names: Any = []
    if method == "transform" and hasattr(estimator, "get_feature_names_out"):
        names = estimator.get_feature_names_out()
    elif method in _REBUILD:
        names = getattr(estimator, "feature_names_in_", [])
    return list(names) if len(names) == width else [f"{method}{i}" for i in range(width)]
