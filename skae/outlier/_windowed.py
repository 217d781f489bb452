"""The outlier detector of time series."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import OutlierMixin, clone
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags, get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._random import MAX_SEED, new_random_state
from .._typed import _fit_context
from .._validation import CheckedParameters, all_or_nothing, shape_of_layers
from ._conformal import p_values
from ._detector import OutlierDetector
from ._rows import in_form_of
from ._series import (
    chunks,
    is_list_of_series,
    scaled,
    starts_of,
    to_steps,
    validated_series,
    windows_of,
)
from ._thresholds import check_enough, threshold_of


class WindowedDetector(OutlierMixin, CheckedParameters):
    """Outlier detector for time series: a learner of windows, and a score for each time step.

    Cuts series into windows of equal length, fits any learner with `fit` and `score_samples`
    to them as rows, and brings its scores back to the time steps: each has the mean over the
    windows that it is in.

    Parameters
    ----------
    estimator : object, default=None
        The learner of windows, which is cloned. It sees a window as a row of
        ``n_channels * window`` features, the steps of the first channel first, as
        ``Conv1d((n_channels, window))`` takes it. None is an `OutlierDetector`, and any other
        learner is put into one. Give an `OutlierDetector` for an ensemble; its
        threshold is not used.
    window : int, default=64
        Number of steps of a window: a period or two, or as long as the faults to be found.
    stride : int, default=1
        Number of steps from the start of one window to that of the next, at most `window`. A larger
        one is faster and takes less memory, and places faults less exactly. The last
        window ends with the series whatever the stride.
    scaling : {"channel", "window"} or None, default="channel"
        What each channel is brought to mean 0 and standard deviation 1 by: "channel", all training
        steps; "window", each window by itself, so that its shape counts, and neither level nor
        strength; None, not at all.
    resolution : {"auto", "step", "window"}, default="auto"
        What is averaged over the windows of a step: "step", what the step itself contributes to the
        score of a window, times `window`; "window", the score of the window. The first tells where
        in a window the fault lies, the second is less noisy. "auto" is "step" where the learner has
        an error for each feature, as an autoencoder has, and "window" otherwise, where
        contributions take ``2 * n_channels * window`` scores for each window.
    contamination : "auto", float or callable, default="auto"
        Where the threshold between outliers and normal steps lies among the scores of the training
        steps, or of the calibration steps if there are any; see `OutlierDetector`.
    calibration_fraction : float, default=0.0
        Fraction that is held out of learning, and whose scores give the threshold and the
        p-values: the last part of a series; of several series, some of them as a whole. Windows
        that overlap are never on both sides.
    random_state : int, RandomState instance or None, default=None
        Source of the seed of the learner, and of which series are held out. None takes fresh
        entropy.

    Attributes
    ----------
    detector_ : OutlierDetector
        The detector that was fitted to the windows.
    resolution_ : {"step", "window"}
        That of the scores.
    n_windows_ : int
        Number of windows that it was fitted to.
    offset_ : float
        The threshold: steps with a lower score are outliers.
    calibration_scores_ : ndarray of shape (n_calibration,) or None
        Scores of the steps held out, in ascending order; None if there are none.
    n_features_in_ : int
        Number of channels.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the channels, if `X` has string column names.

    See Also
    --------
    OutlierDetector : Outliers among rows.
    skae.metrics.vus_pr : How well the scores of steps find faults that last.

    Notes
    -----
    The score of a step depends on the steps around it, up to a window away, so that a part of a
    series has other scores by itself near its ends, where a step is in fewer windows, than within
    the whole.

    p-values and the threshold of calibration hold for a step that is exchangeable with the
    calibration steps. In a series that is so for its distribution in the long run, if it
    does not drift; but neighbours resemble each other, so that the rate of false
    alarms of a stretch is spread more widely around `contamination` than that of as many rows.

    `fit` holds all training windows, ``n_windows_ * n_channels * window`` numbers, in the dtype of
    `X`; `stride` makes them fewer. Scoring takes a chunk of windows at a time.

    It is no estimator of rows, which scikit-learn's checks assume: a row alone has no score.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from skae.outlier import WindowedDetector
    >>> rng = np.random.default_rng(0)
    >>> series = np.sin(np.arange(900) / 4) + 0.1 * rng.normal(size=900)
    >>> detector = WindowedDetector(PCA(2), window=24, calibration_fraction=0.3).fit(series)
    >>> faulty = series[:300].copy()
    >>> faulty[150] += 3
    >>> int(detector.score_samples(faulty).argmin()) in range(127, 174)
    True
    >>> detector.predict(faulty)[[20, 150]]
    array([ 1, -1])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "score_samples"]), None],
        "window": [Interval(Integral, 1, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "scaling": [StrOptions({"channel", "window"}), None],
        "resolution": [StrOptions({"auto", "step", "window"})],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right"), callable],
        "calibration_fraction": [Interval(Real, 0, 1, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any = None,
        window: int = 64,
        stride: int = 1,
        *,
        scaling: str | None = "channel",
        resolution: str = "auto",
        contamination: str | float | Callable[[np.ndarray], float] = "auto",
        calibration_fraction: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.estimator = estimator
        self.window = window
        self.stride = stride
        self.scaling = scaling
        self.resolution = resolution
        self.contamination = contamination
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    # -- fitting -------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the learner to the windows of the series, and find the threshold.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_channels) or (n_steps,), or list of such arrays
            A series in equal steps of time, with one channel if it has one axis; or a
            list of arrays, DataFrames or tensors, each a series of its own. Here as in all other
            methods, each has `window` steps or more.
        y : None
            Ignored, here for consistency.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter or a series is not valid, if the layers of the learner have another
            shape than ``(n_channels, window)``, or if there are too few steps to calibrate with.
        """
        with all_or_nothing(self):
            self._window, self._stride = int(self.window), int(self.stride)
            if self._stride > self._window:
                raise ValueError(
                    f"stride={self.stride} leaves out steps between windows of {self.window}; it "
                    "must be window or less."
                )
            series = validated_series(self, X, reset=True, least=self._window)
            random_state = new_random_state(self.random_state)
            train, held_out = self._split(series, random_state)
            self._scaling = self.scaling
            self._scaler = StandardScaler().fit(np.concatenate(train))
            rows = self._all_rows(train)
            self.n_windows_ = len(rows)
            self.detector_ = self._new_detector(random_state).fit(rows)
            found = self.resolution
            if found == "auto":
                found = "step" if self.detector_._errors_add_up else "window"
            self.resolution_ = found
            self.calibration_scores_ = None
            if held_out:
                self.calibration_scores_ = np.sort(
                    np.concatenate([self._score(one) for one in held_out])
                )
                scores = self.calibration_scores_
            else:
                scores = np.concatenate([self._score(one) for one in train])
            self.offset_ = threshold_of(self.contamination, scores, self.calibration_scores_)
        return self

    def _split(
        self, series: list[np.ndarray], random_state: np.random.RandomState
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return the series to learn from, and those to calibrate with."""
        fraction = float(self.calibration_fraction)
        if fraction == 0:
            return series, []
        n_steps = sum(map(len, series))
        given = f"calibration_fraction={self.calibration_fraction} of {n_steps} steps"
        if len(series) > 1:
            train, held_out = train_test_split(
                series, test_size=fraction, random_state=random_state
            )
        else:
            n_held_out = int(np.ceil(fraction * n_steps))
            if min(n_held_out, n_steps - n_held_out) < self._window:
                raise ValueError(
                    f"{given} leaves {n_steps - n_held_out} to learn from and {n_held_out} to "
                    f"calibrate with, but each needs {self._window}, the window."
                )
            train, held_out = ([part] for part in np.split(series[0], [n_steps - n_held_out]))
        check_enough(self.contamination, sum(map(len, held_out)), given)
        return train, held_out

    def _learner(self) -> OutlierDetector:
        learner = OutlierDetector() if self.estimator is None else self.estimator
        if isinstance(learner, OutlierDetector):
            return learner
        return OutlierDetector(learner, categorical_features=None)

    def _new_detector(self, random_state: np.random.RandomState) -> OutlierDetector:
        """Return the detector of windows, not fitted."""
        learner = self._learner()
        if learner.contamination != "auto" or learner.calibration_fraction != 0:
            raise ValueError(
                "contamination and calibration_fraction belong to WindowedDetector, whose "
                "threshold is that of time steps; leave those of its estimator at their defaults."
            )
        shape, own = shape_of_layers(learner), (self.n_features_in_, self._window)
        if shape not in (None, own):
            raise ValueError(
                f"the layers of the estimator take samples of shape {shape}, but windows have "
                f"{own}: n_channels and window."
            )
        detector = clone(learner)
        if detector.random_state is None:
            detector.set_params(random_state=random_state.randint(MAX_SEED))
        return detector

    # -- windows -----------------------------------------------------------------------------

    def _all_rows(self, series: list[np.ndarray]) -> np.ndarray:
        """Return all windows as the learner sees them, made a chunk at a time."""
        starts = [starts_of(len(one), self._window, self._stride) for one in series]
        shape = sum(map(len, starts)), self.n_features_in_ * self._window
        rows, done = np.empty(shape, dtype=np.result_type(*series)), 0
        for one, of_one in zip(series, starts, strict=True):
            for some in chunks(of_one, shape[1]):
                rows[done : done + len(some)] = self._rows(windows_of(one, self._window, some))
                done += len(some)
        return rows

    def _rows(self, windows: np.ndarray) -> np.ndarray:
        """Return windows as the learner sees them, of shape (n_windows, n_channels * window)."""
        if self._scaling == "window":
            windows = scaled(windows)
        elif self._scaling == "channel":
            mean, scale = (
                of_channel.astype(windows.dtype)[:, None]
                for of_channel in (self._scaler.mean_, self._scaler.scale_)
            )
            windows = (windows - mean) / scale
        return windows.reshape(len(windows), -1)

    def _score(self, series: np.ndarray) -> np.ndarray:
        """Return the score of each step of a series."""
        if self.resolution_ == "step":
            return self._contributions(series).sum(axis=1)

        def scores(windows: np.ndarray) -> np.ndarray:
            return self.detector_.score_samples(self._rows(windows))[:, None, None]

        return to_steps(scores, series, self._window, self._stride)[:, 0]

    def _contributions(self, series: np.ndarray) -> np.ndarray:
        """Return what each channel contributes to the score of each step of a series."""

        def contributions(windows: np.ndarray) -> np.ndarray:
            found = self.detector_.explain(self._rows(windows)).reshape(windows.shape)
            if self.resolution_ == "step":
                return found * found.dtype.type(self._window)
            return found.sum(axis=2, keepdims=True)

        return to_steps(contributions, series, self._window, self._stride)

    # -- inference -----------------------------------------------------------------------------

    def _map(self, function: Callable[[np.ndarray], Any], X: Any) -> Any:
        """Return what a function makes of a series, or a list of that for a list."""
        check_is_fitted(self)
        series = validated_series(self, X, reset=False, least=self._window)
        found = [function(one) for one in series]
        return found if is_list_of_series(X) else found[0]

    def score_samples(self, X: Any) -> Any:
        """Return how normal each time step is.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_channels) or (n_steps,), or list of such arrays
            Series to score.

        Returns
        -------
        ndarray of shape (n_steps,), or list of such arrays for a list
            Higher is more normal.
        """
        return self._map(self._score, X)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of `score_samples` over all steps.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_channels) or (n_steps,), or list of such arrays
            Series to score.
        y : None
            Ignored, here for consistency.

        Returns
        -------
        float
        """
        return float(np.mean(np.hstack(self.score_samples(X))))

    def decision_function(self, X: Any) -> Any:
        """Return the scores less the threshold `offset_`: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_channels) or (n_steps,), or list of such arrays
            Series to score.

        Returns
        -------
        ndarray of shape (n_steps,), or list of such arrays for a list
        """
        return self._map(lambda series: self._score(series) - self.offset_, X)

    def predict(self, X: Any) -> Any:
        """Return -1 for time steps that are outliers and 1 for normal ones.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_channels) or (n_steps,), or list of such arrays
            Series to classify.

        Returns
        -------
        ndarray of shape (n_steps,), or list of such arrays for a list
        """
        return self._map(lambda one: np.where(self._score(one) - self.offset_ < 0, -1, 1), X)

    def p_values(self, X: Any) -> Any:
        """Return the probability that a normal step has a score as low as that of each step.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_channels) or (n_steps,), or list of such arrays
            Series to test.

        Returns
        -------
        ndarray of shape (n_steps,), or list of such arrays for a list

        Raises
        ------
        ValueError
            If no steps were held out for calibration.
        """
        check_is_fitted(self)
        calibration = self.calibration_scores_
        if calibration is None:
            raise ValueError("p_values needs calibration steps; fit with calibration_fraction > 0.")
        return self._map(lambda series: p_values(calibration, self._score(series)), X)

    def explain(self, X: Any) -> Any:
        """Return what each channel contributes to the score of each time step.

        Contributions add up to the score. The lower one is, the more its channel makes the step
        an outlier.

        Parameters
        ----------
        X : array-like of shape (n_steps, n_channels) or (n_steps,), or list of such arrays
            Series to explain. Where `resolution_` is "window", this scores
            ``2 * n_channels * window`` rows for each window of a learner that has no error for
            each feature.

        Returns
        -------
        ndarray or DataFrame, or list of them for a list
            In the form of `X`: a DataFrame with its columns and index for one, and otherwise an
            array of its shape.
        """
        found = self._map(self._contributions, X)
        if is_list_of_series(X):
            return [in_form_of(one, values) for one, values in zip(X, found, strict=True)]
        return in_form_of(X, found)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = get_tags(self._learner()).input_tags.allow_nan
        return tags
