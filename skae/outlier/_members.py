"""Fits of the learners of a detector."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from .._fitting import fit_together
from .._sklearn_callbacks import NoContext, task_of_learner
from ..base import BaseTorchEstimator
from ._combined import most_normal
from ._rows import by_chunks, select


def fit_members(
    detector: Any, draws: list[Any], X: Any, fit_params: dict[str, Any], tasks: list[Any]
) -> list[Any]:
    """Fit learners to their rows and features, and again to those that trimming leaves.

    Parameters
    ----------
    detector : OutlierDetector
        Whose learners they are.
    draws : list of tuple
        Of each, the learner, not fitted, and the indices of its rows and features.
    X : {ndarray, CSR matrix, DataFrame} of shape (n_samples, n_features)
        All rows.
    fit_params : dict
        More arguments for `fit` of a learner.
    tasks : list of CallbackContext or NoContext
        The last fit of each.

    Returns
    -------
    list of object
        The fitted learners.
    """
    if detector.trim == 0:
        return _fit_once(detector, draws, X, fit_params, tasks)
    members = _fit_once(detector, draws, X, fit_params, [NoContext() for _ in tasks])
    kept = []
    for member, (_, rows, features) in zip(members, draws, strict=True):
        scores = by_chunks(member.score_samples, select(X, rows), features)
        kept.append((clone(member), rows[most_normal(scores, detector.trim)], features))
    return _fit_once(detector, kept, X, fit_params, tasks)


def _fit_once(
    detector: Any, draws: list[Any], X: Any, fit_params: dict[str, Any], tasks: list[Any]
) -> list[Any]:
    """Fit learners to their rows and features; networks that are alike as one batch."""
    fits = [
        partial(_fit_member, member, rows, features, X, fit_params)
        for member, rows, features in draws
    ]
    members = [member for member, _, _ in draws]
    if detector.n_jobs is not None or not isinstance(members[0], BaseTorchEstimator):
        told = (
            delayed(_fit_and_tell)(fit, task, member, detector)
            for fit, task, member in zip(fits, tasks, members, strict=True)
        )
        return list(Parallel(n_jobs=detector.n_jobs)(told))
    with ExitStack() as stack:
        for task, member in zip(tasks, members, strict=True):
            stack.enter_context(task_of_learner(task, member, detector))
        for error in fit_together(members, fits):
            if error is not None:
                raise error
    return members


def _fit_member(
    member: Any, rows: np.ndarray, features: np.ndarray, X: Any, fit_params: dict[str, Any]
) -> Any:
    """Fit a learner to its rows and features."""
    mine = select(X, None if len(rows) == X.shape[0] else rows, features)
    return member.fit(mine, **_check_method_params(X, fit_params, indices=rows))


def _fit_and_tell(fit: Callable[[], Any], task: Any, member: Any, detector: Any) -> Any:
    with task_of_learner(task, member, detector):
        return fit()
