"""scikit-learn's searches, with the learners of all candidates and folds trained as one batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, check_cv

# The public way to this class changes what `sklearn.model_selection` holds.
from sklearn.model_selection._search_successive_halving import HalvingGridSearchCV
from sklearn.utils import indexable
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

from .._fitting import DeferredError
from .._sklearn_callbacks import NoContext
from .._validation import CheckedParameters
from ..base import BaseTorchEstimator
from ._memo import Memo
from ._parts import n_learners


class _Splits:
    """The splits of another splitter, once and for all."""

    def __init__(self, splits: list[tuple[np.ndarray, np.ndarray]]):
        self._splits = splits

    def split(self, X: Any, y: Any = None, groups: Any = None, **_: Any) -> Iterator[Any]:
        return iter(self._splits)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None, **_: Any) -> int:
        return len(self._splits)


class _BatchedSearch(CheckedParameters):
    """A search that fits the learners of its candidates first, and then evaluates these."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_batched": [Interval(Integral, 1, None, closed="left"), None]
    }

    estimator: Any
    cv: Any
    n_batched: int | None
    verbose: int

    # Only during `fit`.
    _memo: Memo
    _rows: tuple[Any, Any]
    _routed: Any

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Evaluate all candidates, and fit the best one to all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets, for what learns some.
        **params : dict
            More arguments for `fit` of the estimator, the scorer and the splitter, as in
            scikit-learn.

        Returns
        -------
        self : object
            The fitted search.
        """
        estimator, cv = self.estimator, self.cv
        if not n_learners(estimator):
            return super().fit(X, y, **params)
        memo, watched = Memo(), clone(estimator)
        memo.watch(watched)
        try:
            self._memo, self._rows, self.estimator = memo, indexable(X, y), watched
            self.cv = list(cv) if isinstance(cv, Iterator) else cv  # to be read twice
            super().fit(X, y, **params)
        finally:
            self.estimator, self.cv = estimator, cv
            for name in ("_memo", "_rows", "_routed"):
                self.__dict__.pop(name, None)
            for one in (watched, getattr(self, "best_estimator_", None)):
                memo.release(one)
            memo.close()
        return self

    def _get_routed_params_for_fit(self, params: dict[str, Any]) -> Any:
        routed = super()._get_routed_params_for_fit(params)
        if hasattr(self, "_memo"):
            self._routed = routed
        return routed

    def _run_search(
        self, evaluate_candidates: Callable[..., Any], *, callback_ctx: Any = None
    ) -> None:
        context = {} if callback_ctx is None else {"callback_ctx": callback_ctx}
        if not hasattr(self, "_memo"):
            super()._run_search(evaluate_candidates, **context)
            return
        shares: list[float] = []

        def evaluate(
            candidate_params: Iterable[dict[str, Any]],
            cv: Any = None,
            more_results: Any = None,
            **context: Any,
        ) -> Any:
            candidates = list(candidate_params)
            splitter = self._splitter() if cv is None else cv
            splits = list(splitter.split(*self._rows, **self._routed.splitter.split))
            start = time.perf_counter()
            self._train(candidates, splits, NoContext() if callback_ctx is None else callback_ctx)
            seconds = time.perf_counter() - start
            shares.extend([seconds / max(1, len(candidates) * len(splits))] * len(candidates))
            results = evaluate_candidates(candidates, _Splits(splits), more_results, **context)
            results["mean_fit_time"] += np.array(shares)
            return results

        super()._run_search(evaluate, **context)

    def _splitter(self) -> Any:
        """Return what splits the rows, as scikit-learn has checked it."""
        if hasattr(self, "_checked_cv_orig"):
            return self._checked_cv_orig
        # Before 1.9, scikit-learn keeps it to itself.
        return check_cv(self.cv, self._rows[1], classifier=is_classifier(self.estimator))

    def _init_callback_context(self, *, max_subtasks: int | None = 0, **task: Any) -> Any:
        """Begin to tell callbacks of the fit, with the rounds of training that there will be."""
        if hasattr(self, "_memo"):
            max_subtasks = None  # each round shows whether there is another one
        return super()._init_callback_context(max_subtasks=max_subtasks, **task)

    def _train(self, candidates: list[dict[str, Any]], splits: list[Any], context: Any) -> None:
        """Fit the learners of all candidates to the training rows of all splits."""
        n_refused = self._memo.n_refused
        waiting, n_rounds = candidates, 0
        # Behind the learners that are known after a round, there may be more.
        while waiting := [one for one in waiting if n_learners(self._candidate(one)) > n_rounds]:
            collected = self._collect(waiting, splits)
            if not self._memo.train(self, collected, context):
                break
            n_rounds += 1
        if self.verbose > 0 and self._memo.n_refused > n_refused:
            print(
                f"{self._memo.n_refused - n_refused} learners cannot be trained with others as one "
                "batch; they are fitted one at a time."
            )

    def _candidate(self, parameters: dict[str, Any]) -> Any:
        """Return the estimator with the parameters of a candidate."""
        try:
            candidate = clone(self.estimator).set_params(**clone(parameters, safe=False))
        except Exception:  # the evaluation raises it again
            return None
        if not isinstance(candidate, BaseTorchEstimator):
            vars(candidate).pop("_skl_callbacks", None)  # they belong to the evaluation
        return candidate

    def _collect(self, candidates: list[dict[str, Any]], splits: list[Any]) -> Iterator[None]:
        """Begin to fit candidates, each as far as its first learner that is not known."""
        X_all, y_all = self._rows
        for train, _ in splits:
            X, y = _safe_split(self.estimator, X_all, y_all, train)
            fit_params = _check_method_params(X_all, self._routed.estimator.fit, train)
            arguments = (X,) if y is None else (X, y)
            for candidate in candidates:
                # The evaluation raises all other errors again.
                with self._memo.collecting(), suppress(DeferredError, Exception):
                    self._candidate(candidate).fit(*arguments, **fit_params)
                yield


class BatchedGridSearchCV(_BatchedSearch, GridSearchCV):
    """Grid search that trains the networks of all candidates and folds as one batch.

    It is scikit-learn's `GridSearchCV`, with its results, for an estimator of this package, or a
    pipeline or other meta-estimator with one in any place. The learners of all candidates and
    folds are trained first; those that are alike (see `skae.fit_many`) take their steps together.
    Transformers before them run once for each fold and each setting of theirs. Then each
    candidate is evaluated as in scikit-learn, in `n_jobs` processes: there, its learner finds
    what it learned, what comes after it is fitted, and the whole is scored.

    Parameters
    ----------
    estimator : estimator object
        An estimator of this package, or what has one inside.
    param_grid : dict or list of dicts
        Names of parameters and lists of their values.
    scoring : str, callable, list, tuple or dict, default=None
        How to score the held-out rows; None is `score` of the estimator.
    n_jobs : int, default=None
        Number of processes for what is not trained as one batch; None is 1. The batches
        take as many threads as torch has.
    refit : bool, str or callable, default=True
        Whether, or by which score, to fit the best candidate to all rows.
    cv : int, cross-validation generator or iterable, default=None
        How to split the rows; None is 5 folds.
    verbose : int, default=0
        How much to print; above 0 there is a progress bar over the epochs of all batches.
    pre_dispatch : int or str, default="2*n_jobs"
        How many evaluations are handed to the processes at a time.
    error_score : "raise" or numeric, default=np.nan
        Score of a candidate whose fit fails, or "raise".
    return_train_score : bool, default=False
        Whether to score the training rows, too.
    n_batched : int, default=None
        How many networks to train as one batch at most; None chooses by the memory that is free,
        as `skae.fit_many` does.

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        As in scikit-learn. The fit time of a candidate includes an equal share of the time that
        training took.
    best_estimator_ : estimator
        The best candidate, fitted to all rows; only with `refit`.
    best_score_ : float
        Its mean score on the held-out rows.
    best_params_ : dict
        Its parameters.
    best_index_ : int
        Its place in `cv_results_`.
    scorer_ : callable or dict
        What scores.
    n_splits_ : int
        Number of splits.
    refit_time_ : float
        Seconds of fitting the best candidate to all rows.
    multimetric_ : bool
        Whether there are several scores.
    classes_ : ndarray of shape (n_classes,)
        Class labels of a classifier.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.

    See Also
    --------
    skae.fit_many : Fits many estimators to the same rows.
    BatchedRandomizedSearchCV : Draws candidates from distributions.

    Notes
    -----
    Fitted one at a time, as in scikit-learn, are learners that are values in the grid themselves,
    that stand in a pipeline with a `memory` of its own, in another search, or in a meta-estimator
    whose `random_state` is None. With ``random_state=None``, candidates that differ only in what
    comes after the learner share one.

    With an integer `random_state`, a learner ends with the weights of its own `fit` up to
    rounding, and scores agree with those of scikit-learn's search to about 1e-6. Where a loss
    stops improving by just about `tol`, rounding may decide on one epoch more or less.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from sklearn.svm import LinearSVC
    >>> from skae import DenoisingAutoencoder
    >>> from skae.model_selection import BatchedGridSearchCV
    >>> X, y = load_digits(return_X_y=True)
    >>> pipeline = make_pipeline(
    ...     MinMaxScaler(), DenoisingAutoencoder(32, max_iter=10, tol=0.01, random_state=0),
    ...     LinearSVC(),
    ... )
    >>> grid = {"denoisingautoencoder__noise_level": [0.1, 0.3, 0.5]}
    >>> search = BatchedGridSearchCV(pipeline, grid, cv=3).fit(X, y)
    >>> len(search.cv_results_["mean_test_score"])
    3
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **GridSearchCV._parameter_constraints,
        **_BatchedSearch._parameter_constraints,
    }

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: Any = np.nan,
        return_train_score: bool = False,
        n_batched: int | None = None,
    ):
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.n_batched = n_batched


class BatchedRandomizedSearchCV(_BatchedSearch, RandomizedSearchCV):
    """Randomised search that trains the networks of all candidates and folds as one batch.

    It is scikit-learn's `RandomizedSearchCV`, with its results; see `BatchedGridSearchCV` for what
    is trained together and what is not.

    Parameters
    ----------
    estimator : estimator object
        An estimator of this package, or what has one inside.
    param_distributions : dict or list of dicts
        Names of parameters, and distributions or lists to draw their values from.
    n_iter : int, default=10
        Number of candidates.
    scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        See `BatchedGridSearchCV`.
    random_state : int, RandomState instance or None, default=None
        Source of the candidates.
    n_batched : int, default=None
        See `BatchedGridSearchCV`.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_
        See `BatchedGridSearchCV`.

    See Also
    --------
    BatchedGridSearchCV : Takes all candidates of a grid.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from skae import Autoencoder
    >>> from skae.model_selection import BatchedRandomizedSearchCV
    >>> X = load_iris().data
    >>> search = BatchedRandomizedSearchCV(
    ...     Autoencoder(2, max_iter=20, tol=0.01, random_state=0),
    ...     {"learning_rate": loguniform(1e-4, 1e-2)}, n_iter=8, random_state=0,
    ... ).fit(X)
    >>> bool(search.best_params_["learning_rate"] > 1e-3)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **RandomizedSearchCV._parameter_constraints,
        **_BatchedSearch._parameter_constraints,
    }

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_iter: int = 10,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        n_batched: int | None = None,
    ):
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.n_batched = n_batched


class BatchedHalvingGridSearchCV(_BatchedSearch, HalvingGridSearchCV):
    """Successive halving that trains the networks of each round as one batch.

    It is scikit-learn's `HalvingGridSearchCV`, with its results; see `BatchedGridSearchCV` for
    what is trained together and what is not. Unlike there, nothing has to be imported to enable it.

    Parameters
    ----------
    estimator : estimator object
        An estimator of this package, or what has one inside.
    param_grid : dict or list of dicts
        Names of parameters and lists of their values.
    factor : int or float, default=3
        One in `factor` candidates goes on to the next round.
    resource : str, default="n_samples"
        What grows from round to round: rows, or a parameter with positive integers such as
        `max_iter` of the learner.
    max_resources : int or "auto", default="auto"
        How much of it a candidate gets at most.
    min_resources : {"exhaust", "smallest"} or int, default="exhaust"
        How much of it a candidate gets in the first round.
    aggressive_elimination : bool, default=False
        Whether to repeat the first round if too many candidates would be left in the last.
    cv : int, cross-validation generator or iterable, default=5
        How to split the rows.
    scoring, refit, error_score, return_train_score
        See `BatchedGridSearchCV`.
    random_state : int, RandomState instance or None, default=None
        Source of the rows of a round.
    n_jobs, verbose, n_batched
        See `BatchedGridSearchCV`.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_
        See `BatchedGridSearchCV`.
    n_resources_, n_candidates_ : list of int
        What each round had.

    See Also
    --------
    BatchedGridSearchCV : Gives every candidate all rows.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import Autoencoder
    >>> from skae.model_selection import BatchedHalvingGridSearchCV
    >>> X = load_digits().data / 16
    >>> search = BatchedHalvingGridSearchCV(
    ...     Autoencoder(8, tol=0.01, random_state=0),
    ...     {"learning_rate": [1e-4, 1e-3, 1e-2]},
    ...     resource="max_iter", max_resources=9, cv=3, random_state=0,
    ... ).fit(X)
    >>> search.n_candidates_
    [3, 1]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **HalvingGridSearchCV._parameter_constraints,
        **_BatchedSearch._parameter_constraints,
    }

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        factor: float = 3,
        resource: str = "n_samples",
        max_resources: int | str = "auto",
        min_resources: int | str = "exhaust",
        aggressive_elimination: bool = False,
        cv: Any = 5,
        scoring: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool = True,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        n_batched: int | None = None,
    ):
        super().__init__(
            estimator,
            param_grid,
            factor=factor,
            resource=resource,
            max_resources=max_resources,
            min_resources=min_resources,
            aggressive_elimination=aggressive_elimination,
            cv=cv,
            scoring=scoring,
            refit=refit,
            error_score=error_score,
            return_train_score=return_train_score,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.n_batched = n_batched
