"""How far the values of a row are from those that were seen."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.utils import Tags, gen_batches
from sklearn.utils.validation import check_is_fitted

from .._compute import chunk_rows, map_chunks
from .._missing import observed_mean, refuse_empty_rows, typical_values
from .._training import drop_zero_weight
from .._typed import _fit_context
from .._validation import CheckedParameters, all_or_nothing, validate_rows, validate_weight
from ._rows import values_of


class ValueGaps(CheckedParameters):
    """Value gaps: scores each row by how far its values are from those of the training rows.

    The gap of a value is its distance from the nearest value of the same feature among the
    training rows. The error of a row is the geometric mean over the features of ``1 + g / t``,
    where ``g`` is the gap and ``t`` is the typical gap of that feature.

    It sees what distances between rows do not: a value between two groups of values, or beyond
    all of them, in one of many features. By itself it knows nothing of how features depend on
    each other, so that it is one of several learners.

    Attributes
    ----------
    typical_gaps_ : ndarray of shape (n_features,)
        Median gap over the training rows, each without its own value; the mean where that is 0,
        and 1 where both are.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.

    See Also
    --------
    ValueRarity : How rare values are, where they repeat.
    skae.OutlierDetector : Has both in its default learner.

    Notes
    -----
    A row that is itself a training row is compared with the others: a value that no other
    training row has does not count as seen. So the scores of training rows are those of new
    ones, and a threshold may be taken from them. After a fit to float64 this holds for the same
    rows in float32 too. Missing entries (NaN) count for nothing: the mean is over the others. The
    gap is that of a nearest-neighbor density estimate of each feature, as if the features were
    independent.

    The geometric mean keeps a feature whose value is far off from outvoting all others. The error
    is shared by the features in proportion to ``log(1 + g / t)``.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.outlier import ValueGaps
    >>> X = np.array([[0.0], [1.0], [2.0], [8.0], [9.0]])
    >>> ValueGaps().fit(X).score_samples([[1.0], [1.5], [5.0]])
    array([-2. , -1.5, -4. ])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Sort the values of each feature.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : None
            Ignored, here for consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Rows of weight 0 count as not there; other weights make no difference.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the input is not valid; nothing changes then.
        """
        with all_or_nothing(self):
            X = validate_rows(self, X, reset=True)
            refuse_empty_rows(X)
            X, _, _ = drop_zero_weight(X, validate_weight(sample_weight, X))
            columns = X.tocsc() if sparse.issparse(X) else X
            self.typical_gaps_ = np.ones(X.shape[1])
            # Of each feature the distinct values, with a bound below and above all, and how far
            # each is from those of the other rows.
            self._values: list[tuple[np.ndarray, np.ndarray]] = []
            for j in range(X.shape[1]):
                column = _as_doubles(columns[:, [j]])[:, 0]
                values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
                values = np.r_[-np.inf, values, np.inf]
                gaps = _gaps_without(values, counts)
                self._values.append((values, gaps))
                if len(gaps):
                    self.typical_gaps_[j] = typical_values(np.repeat(gaps, counts)[:, None])[0]
            chunks = gen_batches(X.shape[0], chunk_rows(X.shape[1]))
            self._rows = {row for chunk in chunks for row in _keys(_as_doubles(X[chunk]))}
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal each row is: minus its error.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            Higher is more normal; about -2 for a typical row of measurements, and -1 at most.
        """
        return -self.reconstruction_error(X)

    def reconstruction_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Return how far the values of each row are from those that were seen.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.
        per_feature : bool, default=False
            Whether to give the error of each entry (NaN where that is missing) instead of
            their mean, for each row, over its observed entries.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_features) if `per_feature`
            At least 1 for a row. What is too large for a float is the largest.
        """
        check_is_fitted(self)
        X = validate_rows(self, X, reset=False)
        refuse_empty_rows(X)
        with np.errstate(over="ignore"):
            values = [
                of_feature.astype(X.dtype).astype(np.float64) for of_feature, _ in self._values
            ]

        def errors(chunk: slice) -> np.ndarray:
            with np.errstate(over="ignore"):  # in each thread
                found = self._errors(_as_doubles(X[chunk]), values, per_feature)
                return np.minimum(found, np.finfo(X.dtype).max).astype(X.dtype)

        return np.concatenate(map_chunks(errors, X.shape[0], chunk_rows(X.shape[1]), 0))

    def _errors(self, rows: np.ndarray, values: list[np.ndarray], per_feature: bool) -> np.ndarray:
        ratios = self._gaps(rows, values) / self.typical_gaps_
        logarithms = np.log1p(np.minimum(ratios, np.finfo(np.float64).max))
        mean = observed_mean(logarithms)
        if not per_feature:
            return np.exp(mean)
        share = np.ones_like(logarithms)
        np.divide(logarithms, mean[:, None], out=share, where=mean[:, None] > 0)
        share[np.isnan(logarithms)] = np.nan
        return np.exp(mean)[:, None] * share

    def _gaps(self, rows: np.ndarray, values: list[np.ndarray]) -> np.ndarray:
        """Return the distances from the nearest values, NaN where an entry is missing."""
        gaps = np.empty(rows.shape)
        is_seen = np.ones(len(rows), dtype=bool)
        for j, of_feature in enumerate(values):
            column = np.ascontiguousarray(rows[:, j])
            place = np.searchsorted(of_feature[:-1], column)  # of the first that is not less
            above = of_feature[place] - column
            gaps[:, j] = np.minimum(column - of_feature[place - 1], above)
            is_seen &= ~(above > 0)
            if len(of_feature) == 2:  # nothing is known of this feature
                gaps[:, j] = np.where(np.isnan(column), np.nan, 0)
        maybe = np.flatnonzero(is_seen)
        known = maybe[[row in self._rows for row in _keys(rows[maybe])]]
        for j, (of_feature, (_, gaps_without)) in enumerate(zip(values, self._values, strict=True)):
            itself = known[~np.isnan(rows[known, j])]
            gaps[itself, j] = gaps_without[np.searchsorted(of_feature, rows[itself, j]) - 1]
        return gaps

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


def _as_doubles(rows: Any) -> np.ndarray:
    """Return rows, dense and in float64."""
    return values_of(rows).astype(np.float64)


def _gaps_without(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return how far each value is from those of the other rows; 0 where there are none."""
    with np.errstate(over="ignore"):
        steps = np.diff(values)
    is_single = (counts == 1) & (len(counts) > 1)
    return np.where(is_single, np.minimum(steps[:-1], steps[1:]), 0)


def _keys(rows: np.ndarray) -> list[bytes]:
    """Return what equal rows have in common, whatever their zeros, NaN and type of float."""
    with np.errstate(over="ignore"):
        rows = rows.astype(np.float32) + np.float32(0)  # which makes 0 of -0
    rows[np.isnan(rows)] = np.nan  # there are many
    # Rows themselves would take up as much as all training rows, made dense.
    return [blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
