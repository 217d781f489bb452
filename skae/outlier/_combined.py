"""Several learners as one."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar, Self, cast

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import _name_estimators
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags, get_tags
from sklearn.utils.metaestimators import _BaseComposition, available_if
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from .._compute import DENSE_NUMBERS
from .._fitting import fit_together
from .._random import new_random_state
from .._training import RowStream
from ..preprocessing import RobustFeatureScaler
from ._rows import drawn, is_frame, select, values_of
from ._scales import ErrorScale, scale_of

# Rows from which the scales of the scores are found, at most; and of very many features, whose
# errors would take up much memory.
_SCALE_ROWS, _LEAST_SCALE_ROWS = 10_000, 1000


class CombinedLearner(_BaseComposition):
    """The mean of the scores of several learners, each brought to one scale.

    Parameters
    ----------
    learners : list of (str, object)
        Names and learners, not fitted.
    weights : list of float or None, default=None
        Weights of the learners in the mean. None are equal ones.
    scaled : bool, default=False
        Whether the learners see scaled rows: by `RobustFeatureScaler`, or, of sparse rows, by
        the standard deviations; in float32.
    trim : float, default=0.0
        Fraction of the training rows that some learners are not fitted to: those that the
        first finds strangest.
    n_untrimmed : int, default=1
        Number of learners, the first of all, that are fitted to all rows nevertheless.
    max_samples : int or None, default=None
        Number of rows that the learners are fitted to, at most.
    random_state : int, RandomState instance or None, default=None
        Source of these rows.
    """

    learners: list[tuple[str, Any]]

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    def __init__(
        self,
        learners: list[tuple[str, Any]],
        *,
        weights: list[float] | None = None,
        scaled: bool = False,
        trim: float = 0.0,
        n_untrimmed: int = 1,
        max_samples: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.learners = learners
        self.weights = weights
        self.scaled = scaled
        self.trim = trim
        self.n_untrimmed = n_untrimmed
        self.max_samples = max_samples
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return self._get_params("learners", deep=deep)

    def set_params(self, **params: Any) -> Self:
        return self._set_params("learners", **params)

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the learners, and find the scales of their scores.

        Weights go to those learners that take some.
        """
        if sample_weight is not None and not any(
            has_fit_parameter(learner, "sample_weight") for _, learner in self.learners
        ):
            raise ValueError("sample_weight was given, but no learner of the list takes it.")
        random_state = new_random_state(self.random_state)
        if (rows := self.drawn_rows(X.shape[0], random_state)) is not None:
            X, sample_weight = drawn(X, rows), _of_rows(sample_weight, rows)
        elif isinstance(X, RowStream) and self.max_samples is not None:
            X = drawn(X, np.arange(X.n_rows))
        X = self._without_names(X)
        self._scaler: Any = None
        if self.scaled:
            dense = RobustFeatureScaler(random_state=random_state)
            scaler = StandardScaler(with_mean=False) if sparse.issparse(X) else dense
            self._scaler = scaler.set_output(transform="default").fit(X)
        self._empty = np.zeros(X.shape[1], dtype=bool)
        X = self._seen(X)
        if self.scaled:
            self._empty = _is_empty(X)
            X = _without(X, self._empty)
        self.learners_ = [clone(learner) for _, learner in self.learners]
        n_first = self.n_untrimmed if self.trim else len(self.learners_)
        self._fit_learners(self.learners_[:n_first], X, sample_weight)
        if self.trim:
            kept = most_normal(self.learners_[0].score_samples(X), self.trim)
            weight, rows = _of_rows(sample_weight, kept), select(X, kept)
            if self.scaled:
                rows = _without(rows, _is_empty(rows))
            self._fit_learners(self.learners_[n_first:], rows, weight)
        n_rows = max(_LEAST_SCALE_ROWS, min(_SCALE_ROWS, DENSE_NUMBERS // X.shape[1]))
        if X.shape[0] > n_rows:
            X = drawn(X, random_state.choice(X.shape[0], n_rows, replace=False))
        self._scales = [scale_of(learner, X) for learner in self.learners_]
        return self

    def drawn_rows(self, n_rows: int, random_state: np.random.RandomState) -> np.ndarray | None:
        """Return which rows the learners are fitted to; None if all."""
        if self.max_samples is None or n_rows <= self.max_samples:
            return None
        return random_state.choice(n_rows, self.max_samples, replace=False)

    def _seen(self, X: Any) -> Any:
        """Return rows as the learners see them."""
        if self._scaler is None:
            return X
        if sparse.issparse(X) and isinstance(self._scaler, RobustFeatureScaler):
            raise TypeError("X is sparse, but the training rows were not; give X.toarray().")
        rows = self._scaler.transform(self._without_names(X)).astype(np.float32)
        return _without(rows, self._empty)

    def _without_names(self, X: Any) -> Any:
        """Return numbers without names for the scaler, which the detector has checked."""
        is_plain = not self.scaled or not is_frame(X)
        return X if is_plain or (values := values_of(X)).dtype.kind == "O" else values

    def _fit_learners(self, learners: list[Any], X: Any, sample_weight: Any) -> None:
        """Fit learners to the same rows, networks that are alike as one batch."""
        fits = []
        for learner in learners:
            is_weighted = sample_weight is not None and has_fit_parameter(learner, "sample_weight")
            given = {"sample_weight": sample_weight} if is_weighted else {}
            fits.append(partial(learner.fit, X, **given))
        for error in fit_together(learners, fits):
            if error is not None:
                raise error

    def learner_scores(self, X: Any) -> np.ndarray:
        """Return the scores of the learners on one scale, of shape (n_samples, n_learners)."""
        check_is_fitted(self)
        X = self._seen(X)
        pairs = zip(self._scales, self.learners_, strict=True)
        return np.column_stack([scale.scores(learner, X) for scale, learner in pairs])

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the mean of the scores of the learners."""
        return np.average(self.learner_scores(X), axis=1, weights=self.weights)

    @available_if(lambda self: all(isinstance(scale, ErrorScale) for scale in self._scales))
    def reconstruction_error(self, X: Any, per_feature: bool = False) -> np.ndarray:
        """Return minus the score; or, for each feature, numbers whose mean that is."""
        if not per_feature:
            return -self.score_samples(X)
        rows = self._seen(X)
        scales = cast(list[ErrorScale], self._scales)
        shares = [s.shares(one, rows) for s, one in zip(scales, self.learners_, strict=True)]
        return -X.shape[1] * np.average(shares, axis=0, weights=self.weights)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        estimators = [one for _, one in self.learners if hasattr(one, "__sklearn_tags__")]
        inputs = [get_tags(learner).input_tags for learner in estimators]
        for name in ("allow_nan", "sparse", "string", "categorical"):
            setattr(tags.input_tags, name, all(getattr(one, name) for one in inputs))
        return tags


def combined(learners: list[Any], **parameters: Any) -> CombinedLearner:
    """Return learners as one, named after their classes."""
    return CombinedLearner(_name_estimators(learners), **parameters)


def _is_empty(X: Any) -> np.ndarray:
    """Return which columns have no value, since all are missing."""
    if sparse.issparse(X):
        missing = X.indices[np.isnan(X.data)]
        return np.bincount(missing, minlength=X.shape[1]) == X.shape[0]
    return np.isnan(X).all(axis=0)


def _without(X: Any, empty: np.ndarray) -> Any:
    """Return rows with 0 in the columns of which nothing is known."""
    if not empty.any():
        return X
    if sparse.issparse(X):
        X = X.copy()
        X.data[empty[X.indices]] = 0
        return X
    return np.where(empty, X.dtype.type(0), X)


def _of_rows(sample_weight: Any, rows: np.ndarray) -> Any:
    return None if sample_weight is None else np.asarray(sample_weight)[rows]


def most_normal(scores: np.ndarray, trim: float) -> np.ndarray:
    """Return the indices of the rows that are left when a fraction is trimmed, ascending."""
    n_kept = min(len(scores), max(2, math.ceil((1 - trim) * len(scores) - 1e-9)))
    return np.sort(np.argsort(-scores, kind="stable")[:n_kept])
