"""Rows rebuilt from nested samples of the training rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .._missing import typical_values
from .._random import new_random_state
from .._training import drop_zero_weight, mean_one
from .._typed import _fit_context, available_if
from .._validation import all_or_nothing, validate_weight
from ..losses import powers_of_differences
from ._nearest import RowSample, drawn_rows, themselves

# Training rows by which the errors of a size are measured, at most.
_TYPICAL_ROWS = 10_000


class NestedCodebooks(RowSample):
    """Nested codebooks: rebuilds each row from one sample of the training rows, cut ever coarser.

    A sample of the training rows is cut into small codebooks; each two of them together are
    a codebook of the next size, and so on up to the whole sample. A row is rebuilt by the
    nearest entry of each codebook, by the sum of absolute differences. Its error is the mean
    over the sizes, each divided by what it typically is.

    The whole sample is the nearest training row, the best of scores where all training rows are
    normal. A small codebook seldom contains an outlier, and stays useful where some are not.

    Parameters
    ----------
    n_entries : int, default=1024
        Number of training rows in the sample, or all if there are fewer.
    smallest : int, default=16
        Least number of entries of a codebook.
    missing_values : {"refuse", "mask"}, default="refuse"
        What to do with missing entries of `X`, which are NaN: refuse them, or leave them out of
        distances and errors, where those that are observed stand for them.
    random_state : int, RandomState instance or None, default=None
        Source of the sample. None takes fresh entropy.

    Attributes
    ----------
    entries_ : ndarray of shape (n_entries, n_features)
        The sample. A codebook of ``k`` entries is ``k`` of them in a row.
    sizes_ : list of int
        Numbers of entries of a codebook, each twice the one before.
    typical_errors_ : ndarray of shape (n_sizes,)
        Median over training rows of the mean absolute error per feature, by each size.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.

    See Also
    --------
    CodebookEnsemble : Independent samples for each codebook, which vary less, at the cost of
        a search in each.
    skae.OutlierDetector : Has nested codebooks in its default learner.

    Notes
    -----
    As in `CodebookEnsemble`, nothing is trained, features should have comparable scales, and a
    row that is itself an entry is rebuilt from the others, unless it is there twice. Rows are
    compared to the last digit: in float32, one of float64 is another row. One search among all
    entries serves all sizes.

    References
    ----------
    G. Pang, K. M. Ting and D. Albrecht, LeSiNN: Detecting Anomalies by Identifying Least
    Similar Nearest Neighbours, ICDM Workshops 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.autoencoders import NestedCodebooks
    >>> X = np.random.default_rng(0).normal(size=(500, 4))
    >>> codebooks = NestedCodebooks(random_state=0).fit(X)
    >>> codebooks.sizes_
    [31, 62, 124, 248, 496]
    >>> strange = np.array([[0.0, 0.0, 6.0, 0.0]])
    >>> bool(codebooks.score_samples(strange) < codebooks.score_samples(X).min())
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_entries": [Interval(Integral, 1, None, closed="left")],
        "smallest": [Interval(Integral, 2, None, closed="left")],
        **RowSample._parameter_constraints,
    }

    def __init__(
        self,
        n_entries: int = 1024,
        *,
        smallest: int = 16,
        missing_values: str = "refuse",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.n_entries = n_entries
        self.smallest = smallest
        self.missing_values = missing_values
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Draw the entries from the rows of `X`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training rows.
        y : None
            Ignored, here for consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the draw of each entry.

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
            X = self._validated(X, reset=True)
            X, weight, _ = drop_zero_weight(X, validate_weight(sample_weight, X))
            weight = mean_one(weight)
            share = None if weight is None else weight / weight.sum()
            random_state = new_random_state(self.random_state)
            n_drawn = min(self.n_entries, X.shape[0])
            n_halvings = max(0, math.floor(math.log2(max(n_drawn / self.smallest, 1))))
            size = n_drawn >> n_halvings
            self.sizes_ = [size << doubling for doubling in range(n_halvings + 1)]
            drawn = random_state.choice(X.shape[0], self.sizes_[-1], replace=False, p=share)
            # In the dtype of X, in which a row finds itself.
            self.entries_ = drawn_rows(X, weight, drawn)
            if X.shape[0] > _TYPICAL_ROWS:
                X = X[random_state.choice(X.shape[0], _TYPICAL_ROWS, replace=False)]
            self.typical_errors_ = np.ones(len(self.sizes_))
            errors = self._read(X, self._errors_by_size, len(self.sizes_))
            self.typical_errors_ = typical_values(errors)
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
            Higher is more normal; about -1 for a typical row. The score of a row does not
            depend on the other rows.
        """
        return -self.reconstruction_error(X)

    def reconstruction_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Return the error of rebuilding each row, in units of the typical ones.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to rebuild.
        per_feature : bool, default=False
            Whether to give the error of each entry (NaN where that is missing) instead of
            the mean of each row over its observed entries.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_features) if `per_feature`
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        if per_feature:
            return self._read(X, self._errors_by_feature, X.shape[1])
        return self._read(X, self._errors_by_size, len(self.sizes_)).mean(axis=1)

    @available_if(lambda estimator: estimator.missing_values == "mask")
    def impute(self, X: Any) -> np.ndarray:
        """Fill in missing entries from the codebooks.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, with NaN for missing entries.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The rows, dense; a missing entry is the mean over the codebooks of that of the nearest
            entry of each, and the others are as they were.
        """
        check_is_fitted(self)
        return self._read(self._validated(X, reset=False), self._imputed, self.n_features_in_)

    def _n_entries(self) -> int:
        return len(self.entries_)

    def _distances(self, x: Tensor) -> Tensor:
        """Return the sums of absolute differences of rows from all entries but themselves."""
        found = powers_of_differences(x, torch.from_numpy(self.entries_).to(x.dtype), 1)
        found[themselves(found)] = torch.inf
        return found

    def _errors_by_size(self, x: Tensor) -> Tensor:
        """Return the mean error per feature over the codebooks of each size, (n, n_sizes)."""
        nearest = self._distances(x).unflatten(1, (-1, self.sizes_[0])).amin(2) / x.shape[1]
        errors = [nearest.mean(1)]
        while nearest.shape[1] > 1:
            nearest = torch.minimum(nearest[:, ::2], nearest[:, 1::2])
            errors.append(nearest.mean(1))
        return torch.stack(errors, 1).div_(torch.from_numpy(self.typical_errors_).to(x.dtype))

    def _errors_by_feature(self, x: Tensor) -> Tensor:
        """Return the error of each entry of the rows, the mean over the sizes."""
        return self._over_sizes(x, lambda entries: (x - entries).abs_(), self.typical_errors_)

    def _imputed(self, x: Tensor) -> Tensor:
        rebuilt = self._over_sizes(x, lambda entries: entries, np.ones(len(self.sizes_)))
        return torch.where(x.isnan(), rebuilt, x)

    def _over_sizes(
        self, x: Tensor, function: Callable[[Tensor], Tensor], scales: np.ndarray
    ) -> Tensor:
        """Return the mean over the sizes of what a function makes of the nearest entries."""
        entries, size = torch.from_numpy(self.entries_).to(x.dtype), self.sizes_[0]
        nearest, index = self._distances(x).unflatten(1, (-1, size)).min(2)
        index += torch.arange(0, len(entries), size)
        total = torch.zeros_like(x)
        for scale in scales:
            for codebook in index.T:
                total += function(entries[codebook]).div_(scale * index.shape[1])
            if index.shape[1] > 1:  # each two codebooks are one of the next size
                is_left = nearest[:, ::2] <= nearest[:, 1::2]
                index = torch.where(is_left, index[:, ::2], index[:, 1::2])
                nearest = torch.minimum(nearest[:, ::2], nearest[:, 1::2])
        return total.div_(len(self.sizes_))
