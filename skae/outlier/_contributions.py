"""What each feature contributes to the score of a row."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from .._missing import observed_mean
from ._rows import beside, by_chunks, is_frame, reference_for, select, values_of


def errors_add_up(learner: Any, X: Any) -> bool:
    """Return whether the learner has an error per feature whose mean is minus its score."""
    error = error_of(learner)
    if not takes_features(error):
        return False
    scores = learner.score_samples(X)
    rounding = 1e-5 * np.abs(scores).max()  # which may be more than a score near 0
    return np.allclose(observed_mean(error(X, per_feature=True)), -scores, atol=rounding)


def error_of(learner: Any) -> Any:
    """Return the method of a learner that gives the error behind its score, if it has one."""
    error = getattr(learner, "reconstruction_error", None)
    return getattr(learner, "denoising_error", error)


def takes_features(error: Any) -> bool:
    """Return whether an error, which may be None, is there for each feature."""
    return error is not None and "per_feature" in inspect.signature(error).parameters


def split_error(learner: Any, X: Any, features: np.ndarray) -> np.ndarray:
    """Return minus the error of each feature over the number of those observed, 0 of others."""

    def errors(rows: Any) -> np.ndarray:
        return error_of(learner)(rows, per_feature=True)

    found = by_chunks(errors, X, features)
    observed = ~np.isnan(found)
    return np.where(observed, -found, 0) / observed.sum(axis=1, keepdims=True, dtype=found.dtype)


def replace_features(learner: Any, X: Any, features: np.ndarray, reference: Any) -> np.ndarray:
    """Return what the score gains when the features of a reference are replaced one by one.

    That is the mean over the order of the columns and its reverse. Of each pair of
    features either one comes first in one of the two, so that what the pair does together is
    halved between them: for a function with terms of two features at most, these are
    the Shapley values. The score of the reference is shared out evenly.

    Parameters
    ----------
    learner : object
        With a method `score_samples`.
    X : {ndarray, CSR matrix, DataFrame} of shape (n_samples, n_features)
        Rows.
    features : ndarray of int
        Indices of the columns that the learner sees.
    reference : {ndarray, DataFrame} of shape (1, n_features)
        A row, dense.
    """
    reference = select(reference_for(X, reference), features=features)
    base = learner.score_samples(reference)[0]
    n_features = len(features)

    def scores(rows: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores with the first k + 1 features of the rows, and without the first k."""
        score = learner.score_samples
        if is_frame(rows):  # whose columns keep their types
            standard = select(reference, np.zeros(len(rows), dtype=int))
            mixed = [_mixed(rows, standard, k + 1) for k in range(n_features)]
            others = [_mixed(standard, rows, k) for k in range(n_features)]
            first, last = (np.stack([score(one) for one in some], 1) for some in (mixed, others))
            return first, last
        taken = np.tri(n_features, dtype=bool)  # row k has the features up to k
        first, last = (
            score(np.where(mask, rows[:, None], reference).reshape(-1, n_features))
            for mask in (taken, taken.T)
        )
        return first.reshape(rows.shape), last.reshape(rows.shape)

    def contributions(rows: Any) -> np.ndarray:
        first, last = scores(rows if is_frame(rows) else values_of(rows))
        forward, backward = np.diff(first, prepend=base), -np.diff(last, append=base)
        return (forward + backward) / 2 + base / n_features

    return by_chunks(contributions, X, features, copies=n_features)


def _mixed(left: Any, right: Any, n_left: int) -> Any:
    """Return a frame with the first columns of one and the others of another."""
    n_features = left.shape[1]
    if n_left in (0, n_features):
        return left if n_left else right
    columns = np.arange(n_features)
    return beside(select(left, features=columns[:n_left]), select(right, features=columns[n_left:]))
