"""Codes of windows, pooled over a series or an image."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn import config_context
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, gen_batches
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.random import sample_without_replacement
from sklearn.utils.validation import check_is_fitted

from .._compute import chunk_rows
from .._random import new_random_state, with_seeds
from .._typed import _fit_context
from .._validation import CheckedParameters, all_or_nothing, shape_of, validate_rows
from ..autoencoders import DenoisingAutoencoder
from ..layers import is_positive_int
from ._scaling import Columns
from ._windows import (
    POOLINGS,
    pooled,
    powers_of_two,
    root_mean_square,
    scaled,
    window_of,
    windows_of,
)

# A call of the learner codes so many times the samples whose codes are pooled at a time: calls cost
# time, and pooling is quicker where codes stay in the cache.
_PART_OF_CALL = 8


class WindowFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, CheckedParameters):
    """Features of series or images: codes of their windows, pooled over all places.

    An autoencoder learns from windows of all training samples. A feature is then the proportion
    of windows in which a component of the code is above a threshold, in the whole sample or in
    a part of it. It does not depend on where in it a pattern lies, and needs no scaler before a
    linear model. This is learning from patches (Coates et al. 2011), with windows of several
    dilations, and proportions as features, which are known from random convolutions (Dempster et
    al. 2021).

    Parameters
    ----------
    estimator : object, default=None
        Transformer that learns to code windows, which is cloned. It sees a window as a row of
        ``n_channels * window`` features, or ``n_channels * window ** 2`` of an image, the first
        channel first. None is a `DenoisingAutoencoder` with 64 components
        (``code_activation="leaky_relu"``) and no hidden layer.
    window : int, default=9
        Number of entries of a window along each axis; at most as many as the axis has.
    shape : tuple of int, default=None
        Shape of one sample, (n_channels, length) or (n_channels, height, width), whose
        product is the number of features. None takes that of the training samples, and rows of a
        table as series of one channel.
    dilations : "auto" or sequence of int, default="auto"
        Steps from one entry of a window to the next: each gives windows of another scale, all coded
        by the same learner. "auto" is 1, 2, 4, ..., as long as a window spans at most 0.8 of each
        axis.
    scaling : {"center", "standard"} or None, default="center"
        "center" subtracts its mean from each channel of each window, "standard" also divides it
        by its standard deviation. With None the level of a sample counts.
    pooling : str or sequence of str, default="proportion"
        What is pooled over the windows of a sample: "proportion", that of windows whose
        code is above a threshold; "max" and "mean", those of the code.
    n_thresholds : int, default=2
        Number of thresholds of each component, for "proportion". They are quantiles of the codes
        of training windows, in equal steps from a place that is drawn for each component.
    n_segments : int, default=1
        Number of parts along each axis that are pooled by themselves. With more than one, features
        tell where a pattern lies.
    max_windows : int, default=20_000
        Number of windows to learn from, at most, drawn from all training samples.
    standardize : bool, default=True
        Whether each feature is brought to mean 0 and standard deviation 1 over the training
        samples.
    random_state : int, RandomState instance or None, default=None
        Source of the windows to learn from, of the thresholds, and of the seeds of the learner.
        None takes fresh entropy.

    Attributes
    ----------
    estimator_ : object
        The learner that was fitted to the windows.
    shape_ : tuple of int
        Shape of a sample.
    dilations_ : list of int
        Those that were used.
    thresholds_ : list of ndarray of shape (n_thresholds, n_components)
        Those of each dilation.
    n_windows_ : int
        Number of windows that the learner was fitted to.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` has string column names.

    See Also
    --------
    LayerFeatures : The codes of all layers of an autoencoder of whole samples.
    skae.outlier.WindowedDetector : Outliers among the time steps of series.

    Notes
    -----
    Give series as they are, or each by itself at mean 0 and standard deviation 1. To standardise
    each time step over all series, as `StandardScaler` does, gives a pattern another shape at each
    place: it costs 1.5 points of accuracy on 12 sets of the UCR archive
    (`benchmarks/bench_window_defaults.py`), and `scaling` does not make up for it.

    Features are ordered by dilation, then by part, then by what is pooled and by threshold, and
    last by component. There is no `inverse_transform`: what was pooled does not say where it was.

    References
    ----------
    A. Coates, H. Lee and A. Ng, An Analysis of Single-Layer Networks in Unsupervised Feature
    Learning, AISTATS 2011.

    A. Dempster, D. Schmidt and G. Webb, MiniRocket: A Very Fast (Almost) Deterministic Transform
    for Time Series Classification, KDD 2021.

    Examples
    --------
    Two kinds of waves, somewhere in noise:

    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import LinearSVC
    >>> from skae.features import WindowFeatures
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(scale=0.3, size=(120, 80)), np.arange(120) % 2
    >>> for row, kind, start in zip(X, y, rng.integers(60, size=120)):
    ...     row[start : start + 20] += np.sin(np.arange(20) * (0.8 if kind else 1.6))
    >>> model = make_pipeline(WindowFeatures(random_state=0), LinearSVC())
    >>> model.fit(X[:60], y[:60]).score(X[60:], y[60:]) > 0.9
    True
    >>> LinearSVC().fit(X[:60], y[:60]).score(X[60:], y[60:]) > 0.7
    False
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "transform"]), None],
        "window": [Interval(Integral, 1, None, closed="left")],
        "shape": [tuple, list, None],
        "dilations": [StrOptions({"auto"}), "array-like"],
        "scaling": [StrOptions({"center", "standard"}), None],
        "pooling": [StrOptions({"proportion", *POOLINGS}), tuple, list],
        "n_thresholds": [Interval(Integral, 1, None, closed="left")],
        "n_segments": [Interval(Integral, 1, None, closed="left")],
        "max_windows": [Interval(Integral, 1, None, closed="left")],
        "standardize": ["boolean"],
        "random_state": ["random_state"],
    }

    shape_: tuple[int, ...]
    dilations_: list[int]
    _sides: tuple[int, ...]

    def __init__(
        self,
        estimator: Any = None,
        window: int = 9,
        *,
        shape: Sequence[int] | None = None,
        dilations: str | Sequence[int] = "auto",
        scaling: str | None = "center",
        pooling: str | Sequence[str] = "proportion",
        n_thresholds: int = 2,
        n_segments: int = 1,
        max_windows: int = 20_000,
        standardize: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.estimator = estimator
        self.window = window
        self.shape = shape
        self.dilations = dilations
        self.scaling = scaling
        self.pooling = pooling
        self.n_thresholds = n_thresholds
        self.n_segments = n_segments
        self.max_windows = max_windows
        self.standardize = standardize
        self.random_state = random_state

    # -- fitting -------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn to code windows, and find thresholds and the scale of the features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Series or images as rows; or an array of samples in their shape.
        y : None
            Ignored, here for consistency.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If a parameter or the input is not valid; nothing changes then.
        """
        self._fit_transform(X, returns_features=self.standardize)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit to samples and return their features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Series or images as rows; or an array of samples in their shape.
        y : None
            Ignored, here for consistency.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
        """
        return self._fit_transform(X, returns_features=True)

    @_fit_context(prefer_skip_nested_validation=False)
    def _fit_transform(self, X: Any, *, returns_features: bool) -> Any:
        with all_or_nothing(self):
            samples = self._samples(X, reset=True)
            self._set_sizes()
            random_state = new_random_state(self.random_state)
            drawn = [self._draw(samples, dilation, random_state) for dilation in self.dilations_]
            self._unit = 1.0
            centred = scaled(np.concatenate(drawn), self._scaling and "center", len(self._sides), 1)
            self._unit = root_mean_square(centred)
            drawn = [self._rows(windows) for windows in drawn]
            rows = np.concatenate(drawn)
            self.n_windows_ = len(rows)
            self.estimator_ = self._learner(random_state)
            with warnings.catch_warnings():
                if self.estimator is None:  # which trains a given number of epochs
                    warnings.simplefilter("ignore", ConvergenceWarning)
                self.estimator_.fit(rows)
            codes = [self._codes(windows) for windows in drawn]
            place = np.asarray(random_state.uniform(size=codes[0].shape[1]))
            self.thresholds_ = [self._thresholds(some, place) for some in codes]
            self._columns = Columns("standard" if self.standardize else None)
            features = self._pooled(samples) if returns_features else self._pooled(samples[:1])
            self._n_features_out = features.shape[1]
            return self._columns.fit_transform(features)

    def _set_sizes(self) -> None:
        """Keep what decides how samples are cut, scaled and pooled, whatever is set later."""
        axes = self.shape_[1:]
        self._sides = window_of(int(self.window), axes)
        given = self.dilations
        if isinstance(given, str):
            self.dilations_ = powers_of_two(self._sides, axes)
        else:
            self.dilations_ = list(given)
            if not self.dilations_ or not all(map(is_positive_int, self.dilations_)):
                raise ValueError(
                    f"dilations must be 'auto' or one or more positive integers, got {given!r}."
                )
            self.dilations_ = list(map(int, self.dilations_))
            span = (max(self._sides) - 1) * max(self.dilations_) + 1
            if span > min(axes):
                raise ValueError(
                    f"dilations={given!r} and window={self.window} make windows of {span} steps, "
                    f"but a sample has {min(axes)}; lower one of them."
                )
        self._pooling = [self.pooling] if isinstance(self.pooling, str) else list(self.pooling)
        if not self._pooling or not {*self._pooling} <= {"proportion", *POOLINGS}:
            raise ValueError(
                "pooling must be one or more of 'proportion', 'max' and 'mean', got "
                f"{self.pooling!r}."
            )
        self._scaling, self._n_segments = self.scaling, int(self.n_segments)

    def _draw(
        self, samples: np.ndarray, dilation: int, random_state: np.random.RandomState
    ) -> np.ndarray:
        """Return windows to learn from, each dilation having an equal part of them."""
        windows = windows_of(samples, self._sides, dilation)
        places = windows.shape[: 1 + len(self._sides)]
        n_all = math.prod(places)
        n_drawn = min(n_all, max(1, int(self.max_windows) // len(self.dilations_)))
        drawn = sample_without_replacement(n_all, n_drawn, random_state=random_state)
        return windows[np.unravel_index(np.sort(drawn), places)]

    def _learner(self, random_state: np.random.RandomState) -> Any:
        """Return the learner, not fitted, with a seed wherever it has none."""
        if self.estimator is None:
            learner: Any = DenoisingAutoencoder(
                64,
                hidden_layers=(),
                code_activation="leaky_relu",
                learning_rate=1e-2,
                batch_size=1000,
                max_iter=10,
            )
        else:
            learner = clone(self.estimator)
        return with_seeds(learner, random_state)

    def _thresholds(self, codes: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Return quantiles of codes in equal steps, from a place of each component."""
        n = int(self.n_thresholds)
        quantiles = (np.arange(n)[:, None] + place) / n
        position = (quantiles * (len(codes) - 1)).round().astype(int)
        thresholds = np.take_along_axis(np.sort(codes, axis=0), position, axis=0)
        # Codes that equal a threshold but for rounding are not above it.
        margin = 1e-5 * (np.abs(codes).mean(axis=0) + codes.std(axis=0))
        return (thresholds + margin).astype(codes.dtype)

    # -- inference -----------------------------------------------------------------------

    def transform(self, X: Any) -> np.ndarray:
        """Return the features of samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Series or images as rows; or an array of samples in their shape.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            In float32 if `X` is, otherwise in float64.
        """
        check_is_fitted(self)
        return self._columns.transform(self._pooled(self._samples(X, reset=False)))

    def _samples(self, X: Any, *, reset: bool) -> np.ndarray:
        """Return validated samples, of shape (n_samples, *shape_)."""
        given = shape_of(X)
        shape = self._shape_for(given) if reset else self.shape_
        if len(given) > 2:
            if given[1:] != shape:
                raise ValueError(
                    f"X has samples of shape {given[1:]}, but {type(self).__name__} takes samples "
                    f"of shape {shape}, or rows of {math.prod(shape)} features."
                )
            X = np.asarray(X).reshape(len(X), -1)
        rows = validate_rows(self, X, reset=reset)
        shape = shape or (1, rows.shape[1])
        if reset and math.prod(shape) != rows.shape[1]:
            raise ValueError(
                f"shape={self.shape!r} has {math.prod(shape)} entries, but X has {rows.shape[1]} "
                "features; set shape to that of one sample of X."
            )
        self.shape_ = shape
        return rows.reshape(len(rows), *shape)

    def _shape_for(self, given: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a sample; () if it is a row of features."""
        shape = given[1:] if self.shape is None and len(given) > 2 else self.shape or ()
        if self.shape is not None and not all(map(is_positive_int, shape)):
            raise ValueError(
                "shape must be (n_channels, length) or (n_channels, height, width), positive "
                f"integers, got {self.shape!r}."
            )
        if len(shape) not in ((2, 3) if self.shape is not None else (0, 2, 3)):
            raise ValueError(
                f"{type(self).__name__} takes samples of shape (n_channels, length) or "
                f"(n_channels, height, width), got {tuple(shape)}."
            )
        return tuple(map(int, shape))

    def _rows(self, windows: np.ndarray) -> np.ndarray:
        """Return windows as the learner sees them."""
        n_axes = len(self._sides)
        found = scaled(windows, self._scaling, n_axes, self._unit)
        return found.reshape(-1, math.prod(found.shape[-1 - n_axes :]))

    def _codes(self, rows: np.ndarray) -> np.ndarray:
        with config_context(transform_output="default"):
            return np.asarray(self.estimator_.transform(rows))

    def _pooled(self, samples: np.ndarray) -> np.ndarray:
        width = max(self.thresholds_[0].shape[1], self.shape_[0] * math.prod(self._sides))
        numbers = width * math.prod(self.shape_[1:])
        chunks = gen_batches(len(samples), chunk_rows(numbers, part=_PART_OF_CALL))
        return np.concatenate(
            [self._pooled_chunk(samples[chunk], chunk_rows(numbers)) for chunk in chunks]
        )

    def _pooled_chunk(self, samples: np.ndarray, n_at_a_time: int) -> np.ndarray:
        found = []
        for dilation, thresholds in zip(self.dilations_, self.thresholds_, strict=True):
            windows = windows_of(samples, self._sides, dilation)
            codes = self._codes(self._rows(windows))
            codes = codes.reshape(*windows.shape[: 1 + len(self._sides)], -1)
            parts = [
                pooled(codes[some], thresholds, self._pooling, self._n_segments)
                for some in gen_batches(len(codes), n_at_a_time)
            ]
            found.append(np.concatenate(parts))
        return np.concatenate(found, axis=1).astype(samples.dtype, copy=False)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
