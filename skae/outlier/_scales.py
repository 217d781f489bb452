"""What different learners say of a row, on one scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._missing import observed_mean
from ._contributions import error_of, takes_features
from ._rows import gaps, select

# An error counts as no smaller than about this part of the median one, or a row that is rebuilt
# exactly would have a score without bound.
_SMALLEST_PART = 1e-3

# A standard deviation of logarithms below this is one of rounding errors, which is no scale.
_SMALLEST_SPREAD = 1e-4


def scale_of(learner: Any, X: Any) -> ErrorScale | ScoreScale:
    """Return the scale of a fitted learner, by training rows."""
    return (ErrorScale if _is_by_error(learner, X) else ScoreScale)(learner, X)


def _is_by_error(learner: Any, X: Any) -> bool:
    """Return whether a learner has an error per feature, by whose mean its score orders rows."""
    error = error_of(learner)
    if not takes_features(error):
        return False
    order = np.argsort(-learner.score_samples(X))
    ordered = observed_mean(error(X, per_feature=True))[order]
    return bool((np.diff(ordered) >= -1e-5 * ordered[1:]).all())  # but for rounding


class ErrorScale:
    """The logarithm of an error, less its median over training rows, over its spread there.

    Of an outlier it is a matter of magnitude, so that no learner outvotes all others.

    A missing entry counts as the mean error of its feature over training rows, which is what
    to expect of it. Without it, the error of a row would depend on which entries are missing as
    much as on the others: features differ in how well they are rebuilt. The fewer entries a row
    has, the nearer it is to a typical one.

    Parameters
    ----------
    learner : object
        A fitted one with an error per feature, by whose mean its score orders rows.
    X : {ndarray, CSR matrix, DataFrame} of shape (n_samples, n_features)
        Training rows.
    """

    def __init__(self, learner: Any, X: Any):
        errors = error_of(learner)(X, per_feature=True).astype(np.float64)
        self.typical, self.expected = np.nanmedian(errors, axis=0), np.nanmean(errors, axis=0)
        error = np.where(np.isnan(errors), self.expected, errors).mean(axis=1)
        # Of rows most of which repeat, the median error may be 0, and of equal rows all are.
        self.floor = _SMALLEST_PART * (np.median(error) or error.mean() or 1.0)
        logs = np.log(error + self.floor)
        self.centre, self.spread = np.median(logs), _above(_SMALLEST_SPREAD, logs.std())

    def scores(self, learner: Any, X: Any) -> np.ndarray:
        """Return the scores of rows on the common scale, of shape (n_samples,)."""
        error, has_gaps = error_of(learner), gaps(X)
        found = np.empty(X.shape[0])
        if not has_gaps.all():
            found[~has_gaps] = error(select(X, np.flatnonzero(~has_gaps)) if has_gaps.any() else X)
        if has_gaps.any():
            errors = error(select(X, np.flatnonzero(has_gaps)), per_feature=True)
            errors = np.where(np.isnan(errors), self.expected, errors)
            found[has_gaps] = errors.mean(axis=1)
        return self._of(found)

    def _of(self, error: Any) -> Any:
        return (self.centre - np.log(np.maximum(error, 0) + self.floor)) / self.spread

    def shares(self, learner: Any, X: Any) -> np.ndarray:
        """Return what each feature contributes to these, of shape (n_samples, n_features).

        These are Aumann-Shapley values: integrals of the gradient of the score along the straight
        line from the median errors to those of the row. The score of the median errors
        is shared out evenly.
        """
        errors = error_of(learner)(X, per_feature=True).astype(np.float64)
        missing = np.isnan(errors)
        errors = np.where(missing, self.expected, errors)
        # What is missing gains nothing.
        typical = np.where(missing, self.expected, self.typical)
        from_error = typical.mean(axis=1, keepdims=True)
        start = from_error + self.floor
        growth = (errors.mean(axis=1, keepdims=True) + self.floor) / start - 1
        slope = np.ones_like(growth)  # of the logarithm, the mean along the line
        np.divide(np.log1p(growth), growth, out=slope, where=growth != 0)
        gained = slope * (errors - typical) / (start * self.spread)
        return (self._of(from_error) - gained) / errors.shape[1]


class ScoreScale:
    """A score that is no error, less its median over training rows, over its spread there.

    Large deviations count by their logarithm (inverse hyperbolic sine): likelihoods
    fall without bound.

    Parameters
    ----------
    learner : object
        A fitted one.
    X : {ndarray, CSR matrix, DataFrame} of shape (n_samples, n_features)
        Training rows.
    """

    def __init__(self, learner: Any, X: Any):
        scores = np.asarray(learner.score_samples(X), dtype=np.float64)
        self.centre = np.median(scores)
        deviation = 1.4826 * np.median(np.abs(scores - self.centre))
        rounding = 1e-6 * abs(self.centre)
        self.width = _above(rounding, deviation, scores.std())
        self.spread = 1.0
        self.spread = _above(_SMALLEST_SPREAD, self._of(scores).std())

    def scores(self, learner: Any, X: Any) -> np.ndarray:
        """Return the scores of rows on the common scale, of shape (n_samples,)."""
        return self._of(np.asarray(learner.score_samples(X), dtype=np.float64))

    def _of(self, scores: np.ndarray) -> np.ndarray:
        return np.arcsinh((scores - self.centre) / self.width) / self.spread


def _above(least: float, *candidates: float) -> float:
    """Return the first number that is above the least one; 1 if none is."""
    return next((float(one) for one in candidates if one > least), 1.0)
