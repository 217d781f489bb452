"""Tables with categories and missing values, as numbers for learners that take no others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_method_params

from .._missing import observed_mean
from .._random import new_random_state
from .._training import RowStream, through
from ._combined import CombinedLearner
from ._contributions import error_of, takes_features
from ._rows import by_chunks, drawn, is_frame

# A column of more categories becomes a number: the rarity of each.
_MAX_CATEGORIES = 50


class Columns(NamedTuple):
    """What the columns of a table hold, as masks of shape (n_features,).

    Attributes
    ----------
    categorical : ndarray of bool
        Those of categories; the others hold numbers.
    missing : ndarray of bool or None
        Those of numbers, some of which are missing; None if the learner takes missing numbers.
    """

    categorical: np.ndarray
    missing: np.ndarray | None

    def encoded(self, learner: Any, features: np.ndarray) -> EncodedLearner:
        """Return a learner of some of the columns behind an encoder of them."""
        missing = None if self.missing is None else self.missing[features]
        columns = Columns(self.categorical[features], missing)
        return EncodedLearner(learner, TableEncoder(columns))


def columns_of(X: Any, categorical_features: Any, *, takes_missing: bool) -> Columns | None:
    """Return what the columns of a table hold; None if its rows are for the learner as they are.

    Parameters
    ----------
    X : {ndarray, CSR matrix, DataFrame, RowStream} of shape (n_samples, n_features)
        The training rows.
    categorical_features : "from_dtype", array-like or None
        As in `OutlierDetector`.
    takes_missing : bool
        Whether the learner takes missing numbers.

    Raises
    ------
    ValueError
        If `categorical_features` names no columns of `X`, or not all that hold no numbers, or
        `X` is sparse.
    TypeError
        If a column holds dates.
    """
    if categorical_features is None:
        return None
    if isinstance(X, RowStream):
        each = [columns_of(one, categorical_features, takes_missing=takes_missing) for one in X]
        found = [one for one in each if one is not None]
        if not found:
            return None
        categorical = np.any([one.categorical for one in found], axis=0)
        if takes_missing:
            return Columns(categorical, None)
        gaps = [one.missing for one in found if one.missing is not None]
        return Columns(categorical, np.any(gaps, axis=0))
    from_dtype = isinstance(categorical_features, str) and categorical_features == "from_dtype"
    if sparse.issparse(X):
        if from_dtype:
            return None
        raise ValueError("categorical_features needs a dense table, but X is sparse.")
    kinds = [_kind(X, i) for i in range(X.shape[1])]
    if from_dtype:
        if not is_frame(X) and kinds[0] != "number":
            return None  # an array of objects does not say which columns are categories
        categorical = np.array([kind == "category" for kind in kinds])
    else:
        categorical = np.zeros(X.shape[1], dtype=bool)
        categorical[_get_column_indices(X, categorical_features)] = True
    dates = [i for i, kind in enumerate(kinds) if kind == "date" and not categorical[i]]
    if dates:
        raise TypeError(
            f"OutlierDetector needs numbers, but column(s) {_named(X, dates)} of X hold dates or "
            "times; encode it first, for example as days since a date."
        )
    others = [i for i, kind in enumerate(kinds) if kind == "category" and not categorical[i]]
    if others and is_frame(X):
        raise ValueError(
            f"column(s) {_named(X, others)} of X hold no numbers; name them in "
            "categorical_features, or leave them out."
        )
    missing = np.zeros(X.shape[1], dtype=bool)
    if not takes_missing:
        numbers = np.flatnonzero(~categorical).tolist()
        missing[numbers] = [np.isnan(_numbers(X, i)).any() for i in numbers]
    if from_dtype and not missing.any() and set(kinds) <= {"number"}:
        return None
    return Columns(categorical, None if takes_missing else missing)


def refuse_missing(X: Any) -> Any:
    """Return a table without an encoder; raise ValueError if a number is missing in it."""
    if sparse.issparse(X) or (not is_frame(X) and X.dtype.kind != "f"):
        return X
    if is_frame(X):
        found = [i for i in range(X.shape[1]) if np.isnan(_numbers(X, i)).any()]
    else:
        found = np.flatnonzero(np.isnan(X.min(axis=0, initial=np.inf))).tolist()
    _refuse(X, found)
    return X


def _refuse(X: Any, columns: Sequence[int] | np.ndarray) -> None:
    if len(columns):
        raise ValueError(
            f"column(s) {_named(X, columns)} of X have missing values, but had none in the "
            "training rows."
        )


class TableEncoder:
    """Encoder of mixed tables in numbers.

    Numbers are standardised; missing ones are replaced by the median, and a column of zeros and
    ones says where, unless the learner takes them. Of categories there is such a column for each,
    where "missing" is a category too, and one more for those that were not seen in `fit`. More
    than 50 categories are replaced by their rarity in nats, standardised, where one that was not
    seen counts as seen once.

    Parameters
    ----------
    columns : Columns
        What the columns hold.

    Attributes
    ----------
    origins_ : ndarray of int of shape (n_encoded,)
        Of each encoded column, the one that it is made from.
    """

    def __init__(self, columns: Columns):
        self.columns = columns

    def fit(self, X: Any) -> Self:
        """Learn means, medians and categories."""
        categorical, numbers = self.columns.categorical, self._numbers_of(X)
        steps: list[Any] = [StandardScaler()]
        if self.columns.missing is not None:
            steps.append(SimpleImputer(strategy="median", keep_empty_features=True))
        # Whatever the user has scikit-learn's transformers put out, the parts here are arrays.
        self._scaler = make_pipeline(*steps).set_output(transform="default")
        if numbers.shape[1]:
            with np.errstate(invalid="ignore"):  # the mean of a column whose values all miss
                self._scaler.fit(numbers)
        self._of_categories: dict[int, _OneHot | _Rarity] = {}
        for i in np.flatnonzero(categorical).tolist():
            counts = Counter(_categories(X, i)[:, 0].tolist())
            kind = _OneHot if len(counts) <= _MAX_CATEGORIES else _Rarity
            self._of_categories[i] = kind(counts)
        widths = [one.width for one in self._of_categories.values()]
        said = np.zeros_like(categorical) if self.columns.missing is None else self.columns.missing
        parts = np.flatnonzero(~categorical), np.flatnonzero(said), np.flatnonzero(categorical)
        self.origins_ = np.concatenate([*parts[:2], np.repeat(parts[2], widths)])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the rows in numbers, of shape (n_samples, n_encoded).

        Raises
        ------
        ValueError
            If a number is missing in a column that had all of them in `fit`.
        """
        categorical, missing = self.columns
        numbers = self._numbers_of(X)
        parts = [self._scaler.transform(numbers)] if numbers.shape[1] else []
        if missing is not None:
            is_missing = np.isnan(numbers)
            unexpected = is_missing.any(axis=0) & ~missing[~categorical]
            _refuse(X, np.flatnonzero(~categorical)[unexpected])
            parts.append(is_missing[:, missing[~categorical]].astype(float))
        parts += [one.encode(_categories(X, i)) for i, one in self._of_categories.items()]
        return np.concatenate(parts, axis=1)

    def fold(self, of_encoded: np.ndarray) -> np.ndarray:
        """Return the sums over the encoded columns of each column, for each row."""
        is_of = self.origins_[:, None] == np.arange(len(self.columns.categorical))
        return of_encoded @ is_of.astype(of_encoded.dtype)

    def _numbers_of(self, X: Any) -> np.ndarray:
        numbers = [_numbers(X, i) for i in np.flatnonzero(~self.columns.categorical).tolist()]
        return np.stack(numbers, axis=1) if numbers else np.empty((X.shape[0], 0))


class _OneHot:
    """A column of zeros and ones for each category, and one for all others."""

    def __init__(self, counts: Counter[str | None]):
        known = np.array(list(counts), dtype=object)[:, None]
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        self._encoder = encoder.set_output(transform="default").fit(known)
        self.width = len(counts) + 1

    def encode(self, categories: np.ndarray) -> np.ndarray:
        seen = self._encoder.transform(categories)
        return np.hstack([seen, 1 - seen.sum(axis=1, keepdims=True)])


class _Rarity:
    """Minus the logarithm of the fraction of rows with a category, standardised."""

    width = 1

    def __init__(self, counts: Counter[str | None]):
        number = np.array(list(counts.values()), dtype=float)
        rarity = np.log(number.sum() / number)
        self._rarity = dict(zip(counts, rarity.tolist(), strict=True))
        self._of_one = np.log(number.sum())
        self._mean = np.average(rarity, weights=number)
        spread = np.sqrt(np.average((rarity - self._mean) ** 2, weights=number))
        self._scale = spread if spread > 1e-9 else 1.0

    def encode(self, categories: np.ndarray) -> np.ndarray:
        found = [self._rarity.get(one, self._of_one) for one in categories[:, 0].tolist()]
        return (np.array(found)[:, None] - self._mean) / self._scale


class EncodedLearner(BaseEstimator):
    """A learner behind a `TableEncoder`, with the errors of the columns that it was given.

    Parameters
    ----------
    learner : object
        With `fit` and `score_samples`, for arrays of numbers.
    encoder : TableEncoder
        Not fitted.
    """

    def __init__(self, learner: Any, encoder: TableEncoder):
        self.learner = learner
        self.encoder = encoder

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> Self:
        """Fit the encoder to all rows and then the learner, to those that it draws.

        Of a stream the encoder sees a window of rows at equal distances.
        """
        is_stream = isinstance(X, RowStream)
        self.encoder.fit(X.take(X.spread(X.window_rows)) if is_stream else X)
        if isinstance(self.learner, CombinedLearner):
            random_state = new_random_state(self.learner.random_state)
            rows = self.learner.drawn_rows(X.shape[0], random_state)
            if rows is not None:  # encoded, all rows may be many times as large
                fit_params = _check_method_params(X, fit_params, indices=rows)
                X = drawn(X, rows)
        self.learner.fit(through(self.encoder.transform, X), **fit_params)
        return self

    def _encoded(self, function: Callable[[Any], np.ndarray], X: Any) -> np.ndarray:
        """Return what a function makes of the encoded rows, a chunk at a time."""
        copies = math.ceil(len(self.encoder.origins_) / X.shape[1])
        return by_chunks(
            lambda rows: function(self.encoder.transform(rows)), X, np.arange(X.shape[1]), copies
        )

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the scores of the learner."""
        return self._encoded(self.learner.score_samples, X)

    @available_if(lambda self: hasattr(self.learner, "learner_scores"))
    def learner_scores(self, X: Any) -> np.ndarray:
        """Return a column for each learner of a list."""
        return self._encoded(self.learner.learner_scores, X)

    @available_if(lambda self: takes_features(error_of(self.learner)))
    def reconstruction_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Return the mean error of each row, or a share of it for each column, with this mean."""
        error, n_columns = error_of(self.learner), len(self.encoder.columns.categorical)

        def errors(encoded: np.ndarray) -> np.ndarray:
            found = error(encoded, per_feature=True)
            if not per_feature:
                return observed_mean(found)
            observed = ~np.isnan(found)
            share = n_columns / observed.sum(axis=1, keepdims=True, dtype=found.dtype)
            return self.encoder.fold(np.where(observed, found, 0)) * share

        return self._encoded(errors, X)


# -- columns -------------------------------------------------------------------------------


def _kind(X: Any, i: int) -> str:
    """Return whether a column holds a "number", "bool", "category" or "date"."""
    if not is_frame(X):
        return "number" if X.dtype.kind in "biuf" else "category"
    dtype = _column(X, i).dtype
    if hasattr(dtype, "is_numeric"):  # of polars
        names = {"is_temporal": "date", "is_numeric": "number"}
        found = [kind for method, kind in names.items() if getattr(dtype, method)()]
        return found[0] if found else "bool" if str(dtype) == "Boolean" else "category"
    # The dtype of a column of numbers that are categories has the kind of an object.
    others = {"b": "bool", "M": "date", "m": "date"}
    return "number" if dtype.kind in "iuf" else others.get(dtype.kind, "category")


def _column(X: Any, i: int) -> Any:
    if not is_frame(X):
        return X[:, i]
    return X.iloc[:, i] if hasattr(X, "iloc") else X[:, int(i)]


def _numbers(X: Any, i: int) -> np.ndarray:
    """Return a column as float64, with NaN where a value is missing."""
    column = _column(X, i)
    if hasattr(column, "iloc"):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if is_frame(X):
        return np.array(column.to_list(), dtype=np.float64)
    return column.astype(np.float64)


def _categories(X: Any, i: int) -> np.ndarray:
    """Return a column as strings, with None where a value is missing, of shape (n_samples, 1)."""
    column = _column(X, i)
    if hasattr(column, "iloc"):
        values, missing = column.tolist(), column.isna().to_numpy()
    else:
        values = column.tolist() if isinstance(column, np.ndarray) else column.to_list()
        missing = [value is None or value != value for value in values]
    found = [None if gone else _name(value) for value, gone in zip(values, missing, strict=True)]
    return np.array(found, dtype=object)[:, None]


def _name(value: Any) -> str:
    """Return a category as a string, the same for 1 and 1.0: missing values make ints floats."""
    is_whole = isinstance(value, float | np.floating) and value.is_integer()
    return str(int(value) if is_whole else value)


def _named(X: Any, columns: Sequence[int] | np.ndarray) -> str:
    names = list(X.columns) if is_frame(X) else range(X.shape[1])
    return ", ".join(repr(names[i]) for i in columns)
