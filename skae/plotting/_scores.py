"""How scores are distributed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._shared import Display, class_styles, last_of, require


class ScoreHistogramDisplay(Display):
    """A histogram of scores, of each class if there are classes, with the threshold.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        The score of each row; higher is more normal.
    y : array-like of shape (n_samples,), default=None
        The class of each row.
    threshold : float, default=None
        The score below which a row is an outlier.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from skae import Autoencoder
    >>> from skae.outlier import OutlierDetector
    >>> from skae.plotting import ScoreHistogramDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> is_eight = np.where(y == 8, "eight", "other digit")
    >>> learner = Autoencoder(8, max_iter=5, tol=1.0)
    >>> detector = OutlierDetector(learner, random_state=0).fit(X[y != 8] / 16)
    >>> display = ScoreHistogramDisplay.from_estimator(detector, X / 16, is_eight)
    >>> display.threshold == detector.offset_
    True
    """

    def __init__(self, scores: np.ndarray, y: Any = None, *, threshold: float | None = None):
        self.scores = scores
        self.y = y
        self.threshold = threshold

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any = None, *, ax: Any = None, **settings: Any
    ) -> ScoreHistogramDisplay:
        """Draw the scores that an estimator gives rows.

        Parameters
        ----------
        estimator : estimator
            A fitted one with `score_samples`; it may be a Pipeline. Its `offset_`, as that of
            a `skae.OutlierDetector`, is the threshold.
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,), default=None
            The class of each row, for a histogram of each.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **settings : keywords
            For `plot`.

        Returns
        -------
        ScoreHistogramDisplay

        Raises
        ------
        TypeError
            If the estimator has no `score_samples`.
        """
        require(estimator, "score_samples", of=cls.__name__)
        threshold = getattr(last_of(estimator), "offset_", None)
        return cls(estimator.score_samples(X), y, threshold=threshold).plot(ax, **settings)

    def plot(
        self,
        ax: Any = None,
        *,
        bins: int = 60,
        as_errors: bool = False,
        density: bool = False,
        **settings: Any,
    ) -> ScoreHistogramDisplay:
        """Draw the histogram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        bins : int, default=60
            Number of bins.
        as_errors : bool, default=False
            Whether to draw minus the scores, on a logarithmic axis: for scores that are minus
            an error, as those of autoencoders.
        density : bool, default=False
            Whether the area of each class is 1, so that small classes are seen.
        **settings : keywords
            For ``Axes.hist``.

        Returns
        -------
        ScoreHistogramDisplay

        Raises
        ------
        ValueError
            If with `as_errors` a score is not below 0.
        """
        values, sign = np.asarray(self.scores), -1 if as_errors else 1
        if as_errors and values.max() >= 0:
            raise ValueError("as_errors=True needs scores below 0.")
        ax = self._axes(ax, figsize=(6, 4))
        low, high = sorted([sign * values.min(), sign * values.max()])
        spaced: Any = np.geomspace if as_errors else np.linspace
        edges = spaced(low, high, bins + 1)
        y = np.full(len(values), "rows") if self.y is None else np.asarray(self.y)
        for name, rows, style in class_styles(y):
            drawn = {"color": style["color"], "alpha": 0.6, "label": name, **settings}
            ax.hist(sign * values[rows], edges, density=density, **drawn)
        if self.threshold is not None:
            ax.axvline(sign * self.threshold, color="k", ls="--", label="threshold")
        ax.set(
            xlabel="error (minus the score)" if as_errors else "score (higher is more normal)",
            ylabel="density" if density else "rows",
        )
        if as_errors:
            from matplotlib.ticker import LogLocator, NullFormatter

            ax.set_xscale("log")
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.xaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_minor_formatter(NullFormatter())
        if self.y is not None or self.threshold is not None:
            ax.legend()
        return self
