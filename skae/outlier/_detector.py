"""The outlier detector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn import config_context
from sklearn.base import OutlierMixin, clone
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.utils import Tags, get_tags
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    RealNotInt,
    StrOptions,
)
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import _check_method_params, check_is_fitted

from .._random import new_random_state, with_seeds
from .._sklearn_callbacks import CallbackSupportMixin
from .._training import through
from .._typed import _fit_context
from .._validation import CheckedParameters, all_or_nothing, clear_errors, validate_weight
from .._warn import warn
from ._combined import CombinedLearner
from ._conformal import ConformalTests
from ._contributions import errors_add_up
from ._default import is_bad_list, learner_of, takes_nan
from ._encoding import columns_of, refuse_missing
from ._explanations import Explanations
from ._members import fit_members
from ._rows import by_chunks, complete, select, validated, values_of
from ._sampling import draw
from ._thresholds import check_enough, threshold_of

# Training rows that show whether the errors of a learner add up to its score.
_N_PROBES = 50


class OutlierDetector(
    CallbackSupportMixin, Explanations, ConformalTests, OutlierMixin, CheckedParameters
):
    """Outlier detector: a threshold and explanations for any estimator that scores rows.

    Takes any learner with `fit` and `score_samples`, whose scores are higher for rows
    that are more normal: the autoencoders and Boltzmann machines of this package,
    scikit-learn's `PCA`, `GaussianMixture` or `KernelDensity`, or a pipeline of one.
    It fits one such learner or an ensemble of them, sets the threshold by `contamination`,
    and explains which features make a row unusual.

    Parameters
    ----------
    estimator : object, list of object or None, default=None
        The learner, which is cloned. The scores of a list are brought to one scale (see
        Notes) and averaged; the parameters of its learners are out of reach of `set_params`, so
        that a search tries whole lists. None is a list for rows of a table as they come, behind
        `skae.preprocessing.RobustFeatureScaler`: `skae.autoencoders.NestedCodebooks`,
        `ValueRarity` and `ValueGaps`, of up to 6 times the weight of a network, a
        `SelfOrganizingMap` of 12 x 12 units, a `DenoisingAutoencoder` and an `Autoencoder`, fitted
        to at most 10,000 of the rows. Sparse rows are divided by the standard deviations of the
        features alone.
    contamination : "auto", float or callable, default="auto"
        Where the threshold between outliers and normal rows lies among the scores of
        the training rows, or of the calibration rows if there are any:

        - "auto" is the rule of `median_threshold`, which needs no guess of the number
          of outliers;
        - of a float in (0, 0.5], this fraction of the rows lies below. With calibration
          rows it is the expected fraction of false alarms among normal rows, rounded
          down to a multiple of ``1 / (n_calibration + 1)``;
        - a callable takes the scores and returns the threshold, for instance
          `mean_threshold`, ``functools.partial(mean_threshold, n_std=2)``, or your own.
    clean : bool or None, default=None
        Whether all training rows are normal, for the default learner; None if that is not
        known, which does well at both. True has larger codebooks, since a training row nearby
        then says that a row is normal, and counts gaps between values for more. False has smaller
        ones, counts rare values for more, and trains the networks on the 60 % of the rows that
        the codebooks find most normal, and not on 98 % of them.
    trim : float, default=0.0
        Fraction of the rows that are left out of a second fit: those with the lowest
        scores by the first. It makes a learner robust that outliers among the training
        rows would spoil; choose it larger than the fraction of these.
    calibration_fraction : float, default=0.0
        Fraction of the rows that are held out of learning, and whose scores give the
        threshold and the p-values (split conformal prediction). 0 is none.
    n_estimators : int, default=1
        Number of learners. The score is the mean of theirs; `score_std` is how far they
        disagree. The first has the `random_state` of `estimator`, if that has one; all
        others have their own.
    max_samples : "auto", int or float, default=1.0
        Number of rows, or their fraction, that each learner is fitted to; drawn anew
        for each, without replacement. "auto" is 256, or all rows if there are fewer, as in
        scikit-learn's `IsolationForest`.
    max_features : int or float, default=1.0
        Number of features, or their fraction, that each learner sees; drawn likewise.
    categorical_features : "auto", "from_dtype", array-like or None, default="auto"
        Which columns hold categories, for learners that take numbers alone. Numbers are then
        standardised, a missing one is replaced by the median with a column that says so (unless
        the learner takes it, as the default does), and each category has a column of zeros
        and ones, as have missing and new ones. Contributions are those of the columns of `X`.

        - "from_dtype" takes the columns of a DataFrame that hold categories, strings or objects.
          Where there are none of these, no booleans and no missing values that it does not
          take, the learner sees the rows as they are;
        - an array of indices, names or a bool for each column says which;
        - None hands rows to the learner as they are, for a pipeline that encodes them, say;
        - "auto" is "from_dtype" for the default learner, and None for any other.
    store_scores : bool, default=False
        Whether to keep the scores of the training rows in `training_scores_`.
    n_jobs : int, default=None
        Number of learners to fit at a time, each in a process of its own; -1 is one for each
        processor. None is 1, unless in a `joblib.parallel_backend` context; but networks of this
        package that are alike then train as one batch (see `skae.fit_many`). It makes
        no difference to the results but for rounding.
    random_state : int, RandomState instance or None, default=None
        Source of the seeds of the learners, of their rows and features, and of the
        calibration rows. None takes fresh entropy.

    Attributes
    ----------
    estimators_ : list of object
        The fitted learners. Where `categorical_features` asks for an encoder, each is an object
        with `encoder` and `learner`.
    estimators_features_ : list of ndarray
        Indices of the features that each learner sees.
    max_samples_ : int
        Number of rows that are drawn for each learner, before trimming.
    offset_ : float
        The threshold: rows with a lower score are outliers.
    calibration_scores_ : ndarray of shape (n_calibration,) or None
        Scores of the rows held out, in ascending order; None if there are none.
    training_scores_ : ndarray of shape (n_samples,) or None
        Scores of the training rows in their order; with calibration, of those that were
        not held out. None without `store_scores`.
    reference_ : ndarray of shape (n_features,)
        The training row with the highest score (among those without missing values, if there
        are any), from which `explain` sets out for learners whose score is no sum over
        the features. Of objects if the features have different types.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.

    See Also
    --------
    skae.preprocessing.RobustFeatureScaler : What stands before the default learner.
    DenoisingAutoencoder : A learner for images and signals.
    sklearn.ensemble.IsolationForest : Outliers by random trees.

    Notes
    -----
    The common scale of a list: where a learner orders rows by a mean error per feature, as
    autoencoders, maps and codebooks do, its score is minus the logarithm of that error, less
    the median over the training rows, over the standard deviation there. Other scores have the
    median taken off, are divided by the median absolute deviation, and large ones are drawn in by
    the inverse hyperbolic sine. An entry that is missing counts as the mean error of its feature
    over the training rows, so that a row does not seem stranger for what it misses.

    With calibration rows that are exchangeable with the normal rows to come, the
    p-value of such a row is at most t with a probability of at most t (Vovk et al. 2005; for
    outliers, Laxhammar and Falkman 2015). A fraction of outliers among the calibration
    rows makes the p-values larger, so that fewer rows are called outliers.

    References
    ----------
    V. Vovk, A. Gammerman and G. Shafer, Algorithmic Learning in a Random World, Springer
    2005.

    R. Laxhammar and G. Falkman, Inductive Conformal Anomaly Detection for Sequential
    Detection of Anomalous Sub-Trajectories, Annals of Mathematics and Artificial
    Intelligence 74 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from skae.outlier import OutlierDetector
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(500, 6))
    >>> detector = OutlierDetector(
    ...     PCA(2), contamination=0.05, calibration_fraction=0.3, random_state=0
    ... ).fit(X)
    >>> strange = X[:1].copy()
    >>> strange[0, 3] += 2
    >>> detector.predict(strange)
    array([-1])
    >>> detector.p_values(strange) < 0.01
    array([ True])
    >>> detector.top_features(strange, 1)
    array([[3]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "score_samples"]), list, tuple, None],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right"), callable],
        "clean": ["boolean", None],
        "trim": [Interval(Real, 0, 1, closed="left")],
        "calibration_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "max_samples": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="right"),
        ],
        "max_features": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="right"),
        ],
        "categorical_features": [StrOptions({"auto", "from_dtype"}), "array-like", None],
        "store_scores": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    contamination: Any

    def __init__(
        self,
        estimator: Any = None,
        *,
        contamination: str | float | Callable[[np.ndarray], float] = "auto",
        clean: bool | None = None,
        trim: float = 0.0,
        calibration_fraction: float = 0.0,
        n_estimators: int = 1,
        max_samples: str | int | float = 1.0,
        max_features: int | float = 1.0,
        categorical_features: Any = "auto",
        store_scores: bool = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.estimator = estimator
        self.contamination = contamination
        self.clean = clean
        self.trim = trim
        self.calibration_fraction = calibration_fraction
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.max_features = max_features
        self.categorical_features = categorical_features
        self.store_scores = store_scores
        self.n_jobs = n_jobs
        self.random_state = random_state

    # -- fitting -------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> Self:
        """Fit the learners, and find the threshold.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Training rows, here as in all other methods whatever the learner takes: sparse
            matrices, sources of `skae.streaming`, missing values, a DataFrame with strings or
            categories for a pipeline that encodes them, or samples in the shape that the layers
            of the learner have. Learners see a DataFrame as one.
        y : None
            Ignored, here for consistency.
        **fit_params : dict
            More arguments for `fit` of the learner, such as `sample_weight` if it takes
            weights. What has one entry per row goes with its row. A row of weight 0
            is left out; beyond that, weights do not move the threshold. Those learners of a list
            that take no weights are fitted without them; all of the default take them, but not
            its scaler.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid, if there are too few calibration
            rows for `contamination`, or if the threshold is not a finite number.
        KeyboardInterrupt
            After Ctrl-C; nothing changes then.

        Warns
        -----
        UserWarning
            If all learners of an ensemble give the same scores.
        """
        # The learners see numpy arrays. With dispatch on, some refuse what they do without.
        with all_or_nothing(self), config_context(array_api_dispatch=False):
            given, X = X, validated(self, X, reset=True)
            if X.shape[0] < 2:
                raise ValueError("OutlierDetector needs 2 rows or more, got n_samples=1.")
            if _routing_enabled():
                fit_params = process_routing(self, "fit", **fit_params).estimator.fit
            weight = validate_weight(fit_params.get("sample_weight"), X)
            if weight is not None:
                used = np.flatnonzero(weight)
                fit_params = _check_method_params(X, fit_params, indices=used)
                X = select(X, used)
            with clear_errors(self, X, "X"):
                learner = learner_of(self.estimator, self.clean)
                takes_missing = takes_nan(learner)
                self._columns = columns_of(X, self._categories(), takes_missing=takes_missing)
                is_encoded = self._categories() is not None
                self._is_complete = self._columns is None and is_encoded and not takes_missing
            random_state = new_random_state(self.random_state)
            train, held_out = self._split(X, random_state)
            draws = [self._draw_member(X, train, i, random_state) for i in range(self.n_estimators)]
            self.estimators_features_ = [features for _, _, features in draws]
            self.max_samples_ = len(draws[0][1])
            context = self._init_callback_context(max_subtasks=len(draws))
            context.call_on_fit_task_begin(estimator=self, X=given)
            tasks = [context.subcontext(task_name="learner") for _ in draws]
            with clear_errors(draws[0][0], X, "X"):
                self.estimators_: list[Any] = fit_members(self, draws, X, fit_params, tasks)
            members = self._scores(X)
            scores = members.mean(axis=0)
            if self.n_estimators > 1 and (np.ptp(members, axis=0) == 0).all():
                warn(
                    f"The {self.n_estimators} learners give every row the same score: "
                    f"{type(self.estimators_[0]).__name__} uses no random numbers here. Fit each "
                    "to other rows or features: set max_samples or max_features below 1.",
                )
            self.training_scores_ = scores[train] if self.store_scores else None
            self.calibration_scores_ = None if held_out is None else np.sort(scores[held_out])
            self.offset_ = threshold_of(self.contamination, scores, self.calibration_scores_)
            best = int(train[np.argmax(np.where(complete(X), scores, -np.inf)[train])])
            row = select(X, [best])
            self._reference = values_of(row) if sparse.issparse(row) else row
            self._errors_add_up = all(
                errors_add_up(member, select(X, train[:_N_PROBES], features))
                for member, features in self._members()
            )
        context.call_on_fit_task_end(estimator=self, X=given, reconstruction_attributes={})
        return self

    @property
    def reference_(self) -> np.ndarray:
        """The training row with the highest score, of shape (n_features,)."""
        return values_of(self._reference)[0]

    def _categories(self) -> Any:
        """Return `categorical_features`, "auto" resolved."""
        if isinstance(self.categorical_features, str) and self.categorical_features == "auto":
            return "from_dtype" if self.estimator is None else None
        return self.categorical_features

    def _split(
        self, X: Any, random_state: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the indices of the rows to learn from, and of those to calibrate with."""
        rows = np.arange(X.shape[0])
        if self.calibration_fraction == 0:
            return rows, None
        train, held_out = train_test_split(
            rows, test_size=float(self.calibration_fraction), random_state=random_state
        )
        given = f"calibration_fraction={self.calibration_fraction} of {len(rows)} rows"
        check_enough(self.contamination, len(held_out), given)
        return np.sort(train), held_out

    def _draw_member(
        self, X: Any, train: np.ndarray, index: int, random_state: np.random.RandomState
    ) -> tuple[Any, np.ndarray, np.ndarray]:
        """Return learner number `index`, not fitted, and its rows and features."""
        rows = train[draw(self.max_samples, len(train), "max_samples", random_state)]
        features = draw(self.max_features, X.shape[1], "max_features", random_state)
        member = clone(learner_of(self.estimator, self.clean))
        member = with_seeds(member, random_state, replace=index > 0)
        if self._columns is not None:
            member = self._columns.encoded(member, features)
        return member, rows, features

    # -- inference -------------------------------------------------------------------------

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal each row is: the mean of the scores of the learners.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score; any number, since they are read a chunk at a time.

        Returns
        -------
        ndarray of shape (n_samples,)
            Higher is more normal.
        """
        return np.mean(self._scores(self._validated(X)), axis=0)

    def score_std(self, X: Any) -> np.ndarray:
        """Return how far the learners disagree: the standard deviation of their scores.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            0 where there is one learner.
        """
        return np.std(self._scores(self._validated(X)), axis=0)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples`, so that a search needs no scorer.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.
        y : None
            Ignored, here for consistency.

        Returns
        -------
        float
        """
        return float(np.mean(self.score_samples(X)))

    def decision_function(self, X: Any, per_learner: bool = False) -> np.ndarray:
        """Return the scores less the threshold `offset_`: negative for outliers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.
        per_learner : bool, default=False
            Whether to give that of each learner, on the scale on which they are averaged.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_learners) if `per_learner`
            For a list of learners, and for the default, each is a mean over the
            `n_estimators` fits; for a single learner there is one for each of its fits.
        """
        if not per_learner:
            return self.score_samples(X) - self.offset_
        X = self._validated(X)
        if not hasattr(self.estimators_[0], "learner_scores"):
            return self._scores(X).T - self.offset_
        with clear_errors(self.estimators_[0], X, "X"):
            each = [by_chunks(m.learner_scores, X, features) for m, features in self._members()]
        return np.mean(each, axis=0) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return -1 for outliers and 1 for normal rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to classify.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _validated(self, X: Any) -> Any:
        check_is_fitted(self)
        X = validated(self, X, reset=False)
        if self._is_complete:
            with clear_errors(self.estimators_[0], X, "X"):
                X = through(refuse_missing, X)
        return X

    def _members(self) -> Iterator[tuple[Any, np.ndarray]]:
        return zip(self.estimators_, self.estimators_features_, strict=True)

    def _scores(self, X: Any) -> np.ndarray:
        """Return the scores of each learner, of shape (n_estimators, n_samples)."""
        with clear_errors(self.estimators_[0], X, "X"):
            return np.stack(
                [by_chunks(m.score_samples, X, features) for m, features in self._members()]
            )

    # -- scikit-learn's protocols ----------------------------------------------------------

    def get_metadata_routing(self) -> MetadataRouter:
        """Return where the arguments of `fit` go: to the learner.

        Returns
        -------
        MetadataRouter
        """
        router = MetadataRouter(owner=self)
        if is_bad_list(self.estimator):  # which `fit` says
            return router
        learner = learner_of(self.estimator, self.clean)
        if isinstance(learner, CombinedLearner) and _routing_enabled():
            learner.set_fit_request(sample_weight=True)
        mapping = MethodMapping().add(caller="fit", callee="fit")
        return router.add(estimator=learner, method_mapping=mapping)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        if is_bad_list(self.estimator):  # which `fit` says
            return tags
        learner = learner_of(self.estimator, self.clean)
        if not hasattr(learner, "__sklearn_tags__"):  # it is no estimator, which `fit` says
            return tags
        # PCA learns from sparse rows but does not score them.
        takes = get_tags(learner).input_tags
        tags.input_tags.sparse = takes.sparse and not isinstance(learner, PCA)
        for name in ("allow_nan", "string", "categorical"):
            setattr(tags.input_tags, name, getattr(takes, name) or self._categories() is not None)
        return tags
