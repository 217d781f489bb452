"""Rows as a detector hands them to its learners: as they were given, frames as frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import _safe_indexing, gen_batches
from sklearn.utils._set_output import ADAPTERS_MANAGER
from sklearn.utils.validation import validate_data

from .._compute import DENSE_NUMBERS
from .._training import RowStream, in_memory
from .._validation import from_torch, shape_of_layers, validate_rows


def validated(detector: Any, X: Any, *, reset: bool) -> Any:
    """Check the number of features and their names; the values are for the learner to check.

    Parameters
    ----------
    detector : OutlierDetector
        Whose features the rows should have.
    X : {array-like, sparse matrix, DataFrame, tensor} of shape (n_samples, n_features)
        The rows. Where the layers of the learner have the shape of a sample, also an
        array of such samples, which are made flat.
    reset : bool
        Whether these rows define the features of the detector.

    Returns
    -------
    ndarray, CSR matrix, DataFrame or RowStream of shape (n_samples, n_features)
        A DataFrame as it was given. A stream if its rows are more than a window.
    """
    X = in_memory(X) if reset else X
    if isinstance(X, RowStream):
        if reset:
            validated(detector, next(iter(X)), reset=True)
        return X.map(partial(validated, detector, reset=False))
    if reset:
        detector._layers_shape = shape_of_layers(detector)
    if detector._layers_shape is not None:
        return validate_rows(detector, X, reset=reset)
    if is_frame(X):
        for number, of in zip(X.shape, ("sample", "feature"), strict=True):
            if number == 0:
                raise ValueError(
                    f"Found array with 0 {of}(s) (shape={X.shape}) while a minimum of 1 is "
                    f"required by {type(detector).__name__}."
                )
        return validate_data(detector, X, reset=reset, skip_check_array=True)
    if isinstance(X, torch.Tensor):
        X = from_torch(X, "X")
    return validate_data(
        detector, X, reset=reset, accept_sparse="csr", dtype=None, ensure_all_finite=False
    )


def is_frame(X: Any) -> bool:
    """Return whether rows are a DataFrame of pandas or polars."""
    return _library(X) is not None


def _library(X: Any) -> str | None:
    if getattr(X, "ndim", 2) != 2 or not hasattr(X, "columns"):
        return None
    if hasattr(X, "iloc"):
        return "pandas"
    return "polars" if type(X).__module__.startswith("polars.") else None


def select(X: Any, rows: Any = None, features: np.ndarray | None = None) -> Any:
    """Return some rows and some features, None for all; they may be the same memory.

    Of a stream the rows are given in ascending order, and returned as a stream if they are
    more than a window.
    """
    if isinstance(X, RowStream):
        if rows is None:
            return X.map(partial(select, rows=None, features=features))
        if len(rows) <= X.window_rows:
            return select(X.take(rows), None, features)
        kept = np.zeros(X.n_rows, dtype=bool)
        kept[rows] = True
        return select(X.select(kept), None, features)
    X = _safe_indexing(X, rows, axis=0)
    if features is None or len(features) == X.shape[1]:
        return X
    return _safe_indexing(X, features.tolist(), axis=1)  # polars takes no numbers of numpy


def drawn(X: Any, rows: np.ndarray) -> Any:
    """Return some rows, which are few enough to be in memory."""
    return X.take(rows) if isinstance(X, RowStream) else select(X, rows)


def values_of(X: Any) -> np.ndarray:
    """Return rows as an array, of objects if their columns have different types."""
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


def complete(X: Any) -> np.ndarray:
    """Return which rows have no missing values; all if none has all."""
    missing = np.concatenate(list(map(gaps, X))) if isinstance(X, RowStream) else gaps(X)
    return ~missing | missing.all()


def gaps(X: Any) -> np.ndarray:
    """Return which rows have missing values."""
    missing = np.zeros(X.shape[0], dtype=bool)
    if hasattr(X, "isna"):  # of pandas
        missing = X.isna().to_numpy().any(axis=1)
    elif is_frame(X):
        for column in X:  # where NaN is a number
            gone = column.is_null()
            if column.dtype.is_float():
                gone |= column.is_nan().fill_null(True)
            missing |= gone.to_numpy()
    elif sparse.issparse(X):
        missing[np.repeat(np.arange(len(missing)), np.diff(X.indptr))[X.data != X.data]] = True
    elif X.dtype.kind in "fO":
        missing = (X != X).any(axis=1)
        if X.dtype.kind == "O":
            missing |= np.equal(X, np.array(None, dtype=object)).any(axis=1)
    return missing


def in_form_of(X: Any, values: np.ndarray) -> Any:
    """Return an array in the form of `X`: a DataFrame with its columns and index if it is one."""
    library = _library(X)
    if library is None:
        return values.reshape(X.shape if hasattr(X, "shape") else np.shape(X))
    return ADAPTERS_MANAGER.adapters[library].create_container(values, X, list(X.columns))


def reference_for(X: Any, reference: Any) -> Any:
    """Return a row of the training rows in the form of others, which may be different."""
    library = _library(X)
    if library == _library(reference):
        return reference
    values = values_of(reference)
    if library is None:
        return values
    return ADAPTERS_MANAGER.adapters[library].create_container(values, None, list(X.columns))


def beside(left: Any, right: Any) -> Any:
    """Return the columns of two frames in one, whose rows are those of either in their order."""
    library = _library(left)
    if library == "pandas":
        left, right = (frame.reset_index(drop=True) for frame in (left, right))
    return ADAPTERS_MANAGER.adapters[library].hstack([left, right])


def by_chunks(
    function: Callable[[Any], np.ndarray], X: Any, features: np.ndarray, copies: int = 1
) -> np.ndarray:
    """Return what a function makes of some features of the rows, a chunk at a time.

    Parameters
    ----------
    function : callable
        From rows to an array with as many.
    X : {ndarray, CSR matrix, DataFrame, RowStream} of shape (n_samples, n_features)
        Rows.
    features : ndarray of int
        Indices of the columns that `function` sees, in ascending order.
    copies : int, default=1
        How many times its input `function` takes up.
    """
    if isinstance(X, RowStream):
        return np.concatenate([by_chunks(function, chunk, features, copies) for chunk in X])
    chunk_rows = max(1, DENSE_NUMBERS // (len(features) * copies))
    chunks = gen_batches(X.shape[0], chunk_rows)
    return np.concatenate([function(select(X, chunk, features)) for chunk in chunks])
