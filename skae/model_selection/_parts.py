"""The learners and pipelines in an estimator, which ask a memo while a search runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

from ..base import BaseTorchEstimator


def n_learners(estimator: Any) -> int:
    """Return how many learners in an estimator, or itself, can ask a memo."""
    return sum(is_learner(part) for part in watchable(estimator))


def is_learner(part: Any) -> bool:
    """Whether it is an estimator whose training can wait for others."""
    return isinstance(part, BaseTorchEstimator) and part._can_wait


def watchable(estimator: Any) -> list[Any]:
    """Return the parts of an estimator that a fit gives the same rows each time.

    They are not inside of a pipeline with a memory of its own, of another search, or of what
    draws rows without a seed.
    """
    return list(parts_of(estimator, only_watchable=True))


def parts_of(estimator: Any, *, only_watchable: bool = False) -> Iterator[Any]:
    """Go through an estimator and all estimators among its parameters."""
    if isinstance(estimator, list | tuple):
        for one in estimator:
            yield from parts_of(one, only_watchable=only_watchable)
        return
    if not hasattr(estimator, "get_params") or isinstance(estimator, type):
        return
    if only_watchable and _is_opaque(estimator):
        return
    yield estimator
    for value in estimator.get_params(deep=False).values():
        yield from parts_of(value, only_watchable=only_watchable)


def _is_opaque(estimator: Any) -> bool:
    if isinstance(estimator, Pipeline):
        # A memo is there while a search runs.
        return not (estimator.memory is None or hasattr(estimator.memory, "is_collecting"))
    is_ours = isinstance(estimator, BaseTorchEstimator)
    return isinstance(estimator, BaseSearchCV) or (
        not is_ours and getattr(estimator, "random_state", 0) is None
    )
