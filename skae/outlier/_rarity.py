"""How rare the values of a row are."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.utils import Tags, gen_batches
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from .._compute import DENSE_NUMBERS
from .._missing import observed_mean, refuse_empty_rows
from .._training import drop_zero_weight
from .._typed import _fit_context
from .._validation import CheckedParameters, all_or_nothing, validate_rows, validate_weight
from ._rows import values_of

# How many times a value counts as seen that was not.
_UNSEEN = 0.3


class ValueRarity(CheckedParameters):
    """Value rarity: scores each row by how often its values occur among the training rows.

    The error of a feature is minus the logarithm of the relative frequency of its value,
    whatever the order of the values: codes of categories, counts and rounded numbers. Features
    whose values seldom repeat, as measurements do not, have the error 0.

    It sees what distances do not: a rare code between two frequent ones. By itself it knows
    nothing of how features depend on each other, so that it is one of several learners.

    Parameters
    ----------
    min_repetition : float, default=3.0
        Least number of training rows per distinct value, on average, for a feature whose values
        are counted.

    Attributes
    ----------
    counted_features_ : ndarray of int
        Indices of the features whose values are counted.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.

    See Also
    --------
    ValueGaps : How far values are from those that were seen.
    skae.OutlierDetector : Has both in its default learner.

    Notes
    -----
    A value that was not seen counts as if it had been 0.3 times. The sum over the features is
    the surprise of the row if these were independent, as in histogram-based scores (Goldstein
    and Dengel 2012). A value within a thousandth of the least step between training values is
    the same, so that float32 rows find the values of a float64 fit. Missing entries (NaN) count
    for nothing: the mean is over the others.

    References
    ----------
    M. Goldstein and A. Dengel, Histogram-Based Outlier Score (HBOS), KI 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.outlier import ValueRarity
    >>> X = np.array([[0], [0], [0], [0], [0], [1], [2], [2], [2], [2]])
    >>> ValueRarity().fit(X).score_samples([[0], [1], [2]]).round(1)
    array([-0.7, -2.3, -0.9])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "min_repetition": [Interval(Real, 1, None, closed="left")],
    }

    def __init__(self, min_repetition: float = 3.0):
        self.min_repetition = min_repetition

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Count the values of each feature.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : None
            Ignored, here for consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts; their scale is of no account. None is 1 each.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid; nothing changes then.
        """
        with all_or_nothing(self):
            X = validate_rows(self, X, reset=True)
            refuse_empty_rows(X)
            X, weight, _ = drop_zero_weight(X, validate_weight(sample_weight, X))
            n_samples, n_features = X.shape
            share = np.ones(n_samples) if weight is None else weight / weight.mean()
            columns = X.tocsc() if sparse.issparse(X) else X
            self._counts: dict[int, tuple[np.ndarray, np.ndarray, float]] = {}
            for j in range(n_features):
                column = values_of(columns[:, [j]])[:, 0]
                observed = ~np.isnan(column)
                values, place = np.unique(column[observed], return_inverse=True)
                n_observed = share[observed].sum()
                if 0 < self.min_repetition * len(values) <= n_observed:
                    counts = np.bincount(place, share[observed])
                    rarities = -np.log(np.append(counts, _UNSEEN) / n_observed)
                    self._counts[j] = values, rarities, _tolerance(values)
            self.counted_features_ = np.array(list(self._counts), dtype=int)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal each row is: minus its mean error per feature.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            Higher is more normal.
        """
        return -self.reconstruction_error(X)

    def reconstruction_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Return how rare the values of each row are, in nats.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.
        per_feature : bool, default=False
            Whether to give the error of each entry (NaN where that is missing) instead of
            the mean of each row over its observed entries.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_features) if `per_feature`
        """
        check_is_fitted(self)
        X = validate_rows(self, X, reset=False)
        refuse_empty_rows(X)
        errors = np.empty(X.shape if per_feature else X.shape[0], dtype=X.dtype)
        for chunk in gen_batches(X.shape[0], max(1, DENSE_NUMBERS // X.shape[1])):
            rows = values_of(X[chunk])
            rarity = np.zeros_like(rows)
            for j, (values, rarities, tolerance) in self._counts.items():
                place = np.searchsorted(values, rows[:, j] - tolerance).clip(max=len(values) - 1)
                is_seen = np.abs(values[place] - rows[:, j]) <= tolerance
                rarity[:, j] = rarities[np.where(is_seen, place, len(values))]
            rarity[np.isnan(rows)] = np.nan
            errors[chunk] = rarity if per_feature else observed_mean(rarity)
        return errors

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


def _tolerance(values: np.ndarray) -> float:
    """Return how far from a value one that is equal but for rounding, as to float32, may lie."""
    if len(values) > 1:
        return 1e-3 * float(np.diff(values).min())
    return 1e-5 * max(abs(float(values[0])), 1.0)
