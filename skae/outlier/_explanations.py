"""What makes a row an outlier, as methods of a detector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._contributions import replace_features, split_error
from ._rows import in_form_of


class Explanations:
    """A mixin for detectors whose score is a mean over learners."""

    n_features_in_: int
    feature_names_in_: np.ndarray
    estimators_: list[Any]
    _reference: Any
    _errors_add_up: bool
    _validated: Callable[[Any], Any]
    _members: Callable[[], Iterator[tuple[Any, np.ndarray]]]

    def explain(self, X: Any) -> Any:
        """Return what each feature contributes to the score of each row.

        Contributions add up to the score. The lower one is, the more its feature makes
        the row an outlier.

        Where the learner has an error per feature whose mean is minus its score, as an
        autoencoder has, the contribution is minus the error of the feature over the number
        of features. For a list of learners that all have such errors, and for the default, it
        is the Aumann-Shapley value of the logarithms: what the score gains as the errors of all
        features go from their medians to those of the row on a straight line, the score
        of the medians shared out evenly. For any other learner it is what the score gains when
        the features of `reference_` are replaced by those of the row one at a time, in the
        order of the columns and in the reverse order, averaged over both; the score of the
        reference is shared out evenly. These are Shapley values (Strumbelj and Kononenko 2014) if
        the score is a quadratic function of the features, as the log-likelihood of PCA and of
        a normal distribution is, and estimates of them otherwise. They say what a value
        brings where that of the reference would stand: one that is usual by itself, and
        wrong only beside the others, contributes little.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Rows to explain. The second way scores ``2 * n_features`` rows for each.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_features)
            In the form of `X`: a DataFrame of pandas or polars, with its columns and index,
            for one, and otherwise an array of its shape.

        References
        ----------
        E. Strumbelj and I. Kononenko, Explaining Prediction Models and Individual
        Predictions with Feature Contributions, Knowledge and Information Systems 41 (2014).
        """
        return in_form_of(X, self._contributions(X))

    def top_features(self, X: Any, k: int = 3) -> np.ndarray:
        """Return the features that make each row an outlier most.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to explain.
        k : int, default=3
            Number of features.

        Returns
        -------
        ndarray of shape (n_samples, k)
            Indices of the features (names, if fitted on a DataFrame) whose contributions by
            `explain` are lowest, the lowest first.

        Raises
        ------
        ValueError
            If there are not so many features.
        """
        check_is_fitted(self)
        if not isinstance(k, Integral) or isinstance(k, bool) or not 1 <= k <= self.n_features_in_:
            raise ValueError(f"k must be an int from 1 to {self.n_features_in_}, got {k!r}.")
        top = np.argsort(self._contributions(X), axis=1, kind="stable")[:, :k]
        return self.feature_names_in_[top] if hasattr(self, "feature_names_in_") else top

    def _contributions(self, X: Any) -> np.ndarray:
        """Return what each feature contributes, of shape (n_samples, n_features)."""
        X = self._validated(X)
        members = list(self._members())
        parts = [self._member_contributions(member, features, X) for member, features in members]
        total = np.zeros(X.shape, dtype=parts[0].dtype)
        for (_, features), part in zip(members, parts, strict=True):
            total[:, features] += part
        return total / len(members)

    def _member_contributions(self, member: Any, features: np.ndarray, X: Any) -> np.ndarray:
        if self._errors_add_up:
            return split_error(member, X, features)
        return replace_features(member, X, features, self._reference)
