"""What each feature contributes to the score of a row."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from .._compute import DENSE_NUMBERS
from .._training import to_dense

Rows: TypeAlias = np.ndarray | sparse.csr_matrix


def by_chunks(
    function: Callable[[Rows], np.ndarray], X: Rows, features: np.ndarray, copies: int = 1
) -> np.ndarray:
    """Return what a function makes of some features of the rows, a chunk at a time.

    Parameters
    ----------
    function : callable
        From rows to an array with as many.
    X : {ndarray, CSR matrix} of shape (n_samples, n_features)
        Rows.
    features : ndarray of int
        Indices of the columns that `function` sees, in ascending order.
    copies : int, default=1
        How many times its input `function` takes up.
    """
    chunk_rows = max(1, DENSE_NUMBERS // (len(features) * copies))
    whole = len(features) == X.shape[1]
    chunks = (X[chunk] for chunk in gen_batches(X.shape[0], chunk_rows))
    return np.concatenate([function(c if whole else c[:, features]) for c in chunks])


def errors_add_up(learner: Any, X: Rows) -> bool:
    """Return whether the learner has an error per feature whose mean is minus its score."""
    error = _error_of(learner)
    if error is None or "per_feature" not in inspect.signature(error).parameters:
        return False
    return np.allclose(error(X, per_feature=True).mean(axis=1), -learner.score_samples(X))


def _error_of(learner: Any) -> Any:
    """Return the method of a learner that gives the error behind its score, if it has one."""
    error = getattr(learner, "reconstruction_error", None)
    return getattr(learner, "denoising_error", error)


def split_error(learner: Any, X: Rows, features: np.ndarray) -> np.ndarray:
    """Return minus the error of each feature over their number."""

    def errors(rows: Rows) -> np.ndarray:
        return _error_of(learner)(rows, per_feature=True)

    return -by_chunks(errors, X, features) / len(features)


def replace_features(
    learner: Any, X: Rows, features: np.ndarray, reference: np.ndarray
) -> np.ndarray:
    """Return what the score gains when the features of a reference are replaced one by one.

    That is the mean over the order of the columns and its reverse. Of each pair of
    features either one comes first in one of the two, so that what the pair does together is
    halved between them: for a function with terms of two features at most, these are
    the Shapley values. The score of the reference is shared out evenly.
    """
    reference = reference[features]
    base = learner.score_samples(reference[None])[0]
    n_features = len(features)
    taken = np.tri(n_features, dtype=bool)  # row k has the features up to k

    def scores(rows: np.ndarray, from_row: np.ndarray) -> np.ndarray:
        mixed = np.where(from_row, rows[:, None], reference).reshape(-1, n_features)
        return learner.score_samples(mixed).reshape(rows.shape)

    def contributions(rows: Rows) -> np.ndarray:
        rows = to_dense(rows)
        forward = np.diff(scores(rows, taken), prepend=base)
        backward = -np.diff(scores(rows, taken.T), append=base)
        return (forward + backward) / 2 + base / n_features

    return by_chunks(contributions, X, features, copies=n_features)
