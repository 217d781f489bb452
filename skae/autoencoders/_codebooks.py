"""Rows rebuilt from small random samples of the training rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .._random import new_random_state
from .._training import drop_zero_weight, mean_one
from .._typed import _fit_context, available_if
from .._validation import (
    all_or_nothing,
    validate_weight,
)
from ..layers import is_positive_int
from ..losses import powers_of_differences
from ._nearest import RowSample, drawn_rows, themselves

# Sizes from a few rows, which outliers seldom reach, to many, in doubling steps; the error of a
# small codebook varies more, so there are more of these.
_CODEBOOKS = ((16, 24), (32, 16), (64, 12), (128, 8), (256, 6), (512, 4), (1024, 3))


class CodebookEnsemble(RowSample):
    """Codebook ensemble: rebuilds each row from small random samples of the training rows.

    A codebook is a random sample of training rows. It codes a row by the nearest of its
    entries, by the sum of absolute differences, and rebuilds it as this entry. Its mean
    error over many codebooks is an outlier score (Pang et al. 2015).

    A small codebook seldom contains an outlier, so that it is useful where the training rows
    are contaminated. A large one represents the normal rows in more detail, which is better
    where they are clean. With codebooks of several sizes the same default serves both.

    Parameters
    ----------
    codebooks : sequence of (int, int), default=((16, 24), (32, 16), ..., (1024, 3))
        Number of entries of a codebook and number of such codebooks, for each size. All
        sizes have the same weight; the default doubles them from 16 to 1024. Where there are
        fewer rows, every row is an entry.
    missing_values : {"refuse", "mask"}, default="refuse"
        What to do with missing entries of `X`, which are NaN: refuse them, or leave them out of
        distances and errors, where those that are observed stand for them.
    random_state : int, RandomState instance or None, default=None
        Source of the entries. None takes fresh entropy.

    Attributes
    ----------
    entries_ : list of ndarray of shape (n_codebooks, n_entries, n_features)
        The codebooks of each size.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.

    See Also
    --------
    DenoisingAutoencoder : Learns to rebuild rows by a network.

    Notes
    -----
    Nothing is trained: to move the entries to the middle of the rows that are nearest
    to them would follow the outliers among the training rows. Features should have comparable
    scales, as `StandardScaler` gives them.

    A row that is itself an entry is rebuilt from the others, unless the entry is
    there twice. So the scores of training rows are those of new ones, and a threshold may
    be taken from them. The cost of a score does not depend on the number of training rows.

    References
    ----------
    G. Pang, K. M. Ting and D. Albrecht, LeSiNN: Detecting Anomalies by Identifying Least
    Similar Nearest Neighbours, ICDM Workshops 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from skae.autoencoders import CodebookEnsemble
    >>> X = np.random.default_rng(0).normal(size=(500, 4))
    >>> ensemble = CodebookEnsemble(random_state=0).fit(X)
    >>> strange = np.array([[0.0, 0.0, 6.0, 0.0]])
    >>> bool(ensemble.score_samples(strange) < ensemble.score_samples(X).min())
    True
    >>> int(ensemble.reconstruction_error(strange, per_feature=True).argmax())
    2
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "codebooks": ["array-like"],
        **RowSample._parameter_constraints,
    }

    def __init__(
        self,
        codebooks: Sequence[tuple[int, int]] = _CODEBOOKS,
        *,
        missing_values: str = "refuse",
        random_state: int | np.random.RandomState | None = None,
    ):
        self.codebooks = codebooks
        self.missing_values = missing_values
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Draw the codebooks from the rows of `X`.

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
            n_samples, n_features = X.shape
            weight = mean_one(weight)
            share = None if weight is None else weight / weight.sum()
            random_state = new_random_state(self.random_state)
            self.entries_: list[np.ndarray] = []
            for n_entries, n_codebooks in self._sizes():
                shape = (n_codebooks, min(n_entries, n_samples), n_features)
                entries = np.empty(shape, dtype=X.dtype)  # exact, so that a row finds itself
                for codebook in entries:
                    drawn = random_state.choice(n_samples, shape[1], replace=False, p=share)
                    codebook[:] = drawn_rows(X, weight, drawn)
                self.entries_.append(entries)
        return self

    def _sizes(self) -> list[tuple[int, int]]:
        """Return the number of entries and of codebooks, for each size."""
        try:
            sizes = [(n_entries, n_codebooks) for n_entries, n_codebooks in self.codebooks]
        except (TypeError, ValueError):
            sizes = []
        if not sizes or not all(is_positive_int(n) for size in sizes for n in size):
            raise ValueError(
                "codebooks must hold one or more pairs of positive integers, a number of entries "
                f"and of codebooks, got {self.codebooks!r}."
            )
        return sizes

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal each row is: minus its mean error per feature.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            Higher is more normal. The score of a row does not depend on the other rows.
        """
        return -self.reconstruction_error(X)

    def reconstruction_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Return the mean absolute error of rebuilding each row from the codebooks.

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
            return self._read(X, self._errors, X.shape[1])
        return self._read(X, lambda x: self._mean_error(self._errors(x))[:, None], 1)[:, 0]

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
        X = self._validated(X, reset=False)
        return self._read(X, self._imputed, X.shape[1])

    def _n_entries(self) -> int:
        return max(entries.shape[1] for entries in self.entries_)

    def _imputed(self, x: Tensor) -> Tensor:
        rebuilt = self._mean_over_codebooks(x, lambda codebook: codebook[_nearest(x, codebook)])
        return torch.where(x.isnan(), rebuilt, x)

    def _errors(self, x: Tensor) -> Tensor:
        """Return the error of each entry of dense rows, the mean over the codebooks."""
        return self._mean_over_codebooks(
            x, lambda codebook: (x - codebook[_nearest(x, codebook)]).abs()
        )

    def _mean_over_codebooks(self, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        total = torch.zeros_like(x)
        for entries in self.entries_:
            for codebook in torch.from_numpy(entries).to(x.dtype):
                total += function(codebook) / (len(entries) * len(self.entries_))
        return total


def _nearest(x: Tensor, codebook: Tensor) -> Tensor:
    """Return the index of the nearest entry of each row of `x` but itself."""
    distances = powers_of_differences(x, codebook, 1)
    distances[themselves(distances)] = torch.inf
    return distances.argmin(1)
