"""Features brought to one scale, heavy tails drawn in."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from scipy.stats import norm
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags, gen_batches
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_array, check_is_fitted

from .._random import new_random_state
from .._typed import _fit_context
from .._validation import CheckedParameters, all_or_nothing, validate_rows

_CHUNK_ROWS = 2**12


class RobustFeatureScaler(OneToOneFeatureMixin, TransformerMixin, CheckedParameters):
    """Feature scaler: standardises features, and draws in the tails of those with heavy ones.

    A feature with heavy tails is mapped to the mean of its z-score and its normal quantile
    (the quantile of the standard normal distribution at its rank among the training values).
    The z-score keeps how far an extreme value is from the others; the quantile spreads the
    others, which the standard deviation of heavy tails would press together. All other features
    are mapped to their z-scores: to spread the values of a binary one would gain nothing.

    Parameters
    ----------
    min_kurtosis : float, default=1.0
        A feature has heavy tails if its excess kurtosis is larger. That of a normal
        distribution is 0, that of a Laplace distribution 3.
    min_distinct : int, default=10
        A feature with this many distinct values or fewer is taken as discrete, whatever
        its tails.
    clip : float, default=50.0
        Largest absolute z-score; values beyond are set to it.
    n_quantiles : int, default=200
        Number of training values whose normal quantiles are kept, at most; between them
        the map is linear. They are spread evenly over the quantiles.
    max_samples : int, default=10_000
        Number of rows from which the quantiles and the number of distinct values are
        found, at most; drawn without replacement. Means, standard deviations and
        kurtoses are those of all rows.
    random_state : int, RandomState instance or None, default=None
        Source of the draw. None takes fresh entropy.

    Attributes
    ----------
    kinds_ : ndarray of shape (n_features,)
        What each feature is mapped to: "standard" for its z-score, "quantile" for the mean
        of z-score and normal quantile.
    mean_ : ndarray of shape (n_features,)
        Mean of each feature; 0 if all its values are missing.
    scale_ : ndarray of shape (n_features,)
        Standard deviation of each feature; 1 if it is constant.
    kurtosis_ : ndarray of shape (n_features,)
        Excess kurtosis of each feature; 0 if it is constant.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.

    See Also
    --------
    sklearn.preprocessing.StandardScaler : The z-score of each feature.
    sklearn.preprocessing.QuantileTransformer : Normal quantiles alone, which have no more to say
        of a value beyond the training rows.
    sklearn.preprocessing.RobustScaler : Median and interquartile range, which leave tails as
        they are.

    Notes
    -----
    The map of each feature is monotone, and linear between the quantiles. Beyond the
    training values only its z-score goes on, until it is clipped. Equal values have the mean
    of their ranks. Missing values (NaN) stay what they are, and count for nothing.

    Memory beside the input and the output is that of some columns.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.preprocessing import RobustFeatureScaler
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.normal(size=500), rng.standard_cauchy(500)])
    >>> scaler = RobustFeatureScaler().fit(X)
    >>> scaler.kinds_.tolist()
    ['standard', 'quantile']
    >>> np.allclose(scaler.inverse_transform(scaler.transform(X)), X)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "min_kurtosis": [Interval(Real, None, None, closed="neither")],
        "min_distinct": [Interval(Integral, 0, None, closed="left")],
        "clip": [Interval(Real, 0, None, closed="neither")],
        "n_quantiles": [Interval(Integral, 2, None, closed="left")],
        "max_samples": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        min_kurtosis: float = 1.0,
        min_distinct: int = 10,
        clip: float = 50.0,
        n_quantiles: int = 200,
        max_samples: int = 10_000,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.min_kurtosis = min_kurtosis
        self.min_distinct = min_distinct
        self.clip = clip
        self.n_quantiles = n_quantiles
        self.max_samples = max_samples
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the scale of each feature, and the quantiles of those with heavy tails.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows; NaN for missing values.
        y : None
            Ignored, here for consistency.

        Returns
        -------
        self : object
            The fitted scaler.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid; nothing changes then.
        TypeError
            If `X` is sparse.
        """
        with all_or_nothing(self):
            X = self._validated(X, reset=True)
            n_samples, n_features = X.shape
            rows: Any = slice(None)
            if n_samples > self.max_samples:
                random_state = new_random_state(self.random_state)
                rows = random_state.choice(n_samples, self.max_samples, replace=False)
            moments = np.zeros((4, n_features))
            self._centre, self._offset, self.scale_, self.kurtosis_ = moments
            self._maps: list[tuple[np.ndarray, np.ndarray]] = []
            kinds = []
            for j, column in enumerate(X.T):
                moments[:, j] = _moments(column[~np.isnan(column)].astype(np.float64))
                drawn = column[rows] - self._centre[j]
                values, counts = np.unique(drawn[~np.isnan(drawn)], return_counts=True)
                is_heavy = self.kurtosis_[j] > self.min_kurtosis and len(values) > self.min_distinct
                kinds.append("quantile" if is_heavy else "standard")
                self._maps.append(self._map(j, values if is_heavy else values[:0], counts))
            self.kinds_ = np.array(kinds)
            self.mean_ = self._centre + self._offset
        return self

    def _map(self, j: int, values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the points between which the map of a feature is linear, and their images.

        Points and `values` are less the centre, so that what is far from zero keeps its digits.
        """
        mean, scale = self._offset[j], self.scale_[j]
        ends = mean + np.array([-self.clip, self.clip]) * scale
        if len(values) == 0:
            return ends, np.array([-self.clip, self.clip])
        values, quantiles = (
            values.astype(np.float64),
            norm.ppf((np.cumsum(counts) - counts / 2) / counts.sum()),
        )
        if len(values) > self.n_quantiles:
            evenly = np.linspace(quantiles[0], quantiles[-1], self.n_quantiles)
            kept = np.unique(np.searchsorted(quantiles, evenly).clip(max=len(values) - 1))
            values, quantiles = values[kept], quantiles[kept]
        points = np.unique(np.concatenate([values, ends]))
        standard = ((points - mean) / scale).clip(-self.clip, self.clip)
        return points, (standard + np.interp(points, values, quantiles)) / 2

    def transform(self, X: Any) -> np.ndarray:
        """Bring each feature to its scale.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; NaN for missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In float32 if `X` is, otherwise in float64.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        scaled = np.empty_like(X, order="C")
        for chunk in gen_batches(len(X), _CHUNK_ROWS):  # whose columns stay in the cache
            centred = X[chunk] - self._centre
            rows = ((centred - self._offset) / self.scale_).clip(-self.clip, self.clip)
            for j in np.flatnonzero(self.kinds_ == "quantile"):
                rows[:, j] = np.interp(centred[:, j], *self._maps[j])
            scaled[chunk] = rows
        return scaled

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Bring each feature back; clipped values to the largest that are not.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as `transform` returns them.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        X = check_array(X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but RobustFeatureScaler was fitted to "
                f"{self.n_features_in_}."
            )
        original = np.empty_like(X, order="C")
        for chunk in gen_batches(len(X), _CHUNK_ROWS):
            for j, (points, images) in enumerate(self._maps):
                original[chunk, j] = np.interp(X[chunk, j], images, points) + self._centre[j]
        return original

    def _validated(self, X: Any, *, reset: bool) -> np.ndarray:
        if sparse.issparse(X):
            raise TypeError(
                "RobustFeatureScaler takes no sparse matrix: it moves zeros to other values, so "
                "that nothing would stay sparse. Use X.toarray(), or MaxAbsScaler, which keeps "
                "zeros."
            )
        return validate_rows(self, X, reset=reset)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _moments(values: np.ndarray) -> tuple[float, float, float, float]:
    """Return a centre, the mean less it, standard deviation and excess kurtosis."""
    if len(values) == 0:
        return 0.0, 0.0, 1.0, 0.0
    centre = values.min() / 2 + values.max() / 2
    values -= centre  # a copy
    unit = np.abs(values).max()
    if unit == 0 or values.min() == values.max():
        return centre, 0.0, 1.0, 0.0
    values /= unit  # of any magnitude
    mean = values.mean()
    values -= mean
    squares = values**2
    variance = squares.mean()
    kurtosis = np.mean(squares**2) / variance**2 - 3
    # The smallest numbers have no half.
    scale = max(unit * np.sqrt(variance), np.finfo(np.float64).tiny)
    return centre, unit * mean, scale, kurtosis
