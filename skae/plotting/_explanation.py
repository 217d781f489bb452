"""Which features make rows outliers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._shared import Display, before_last, require


class ExplanationDisplay(Display):
    """What each feature contributes to the outlier scores of rows.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    contributions : ndarray of shape (n_samples, n_features)
        What each feature contributes to the score of each row; they add up to it. The lower,
        the more of an outlier its feature makes the row.
    feature_names : list of str, default=None
        Names of the features.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.
    features_ : ndarray of int
        The features that are drawn, in the order of the axis.
    image_ : matplotlib AxesImage or BarContainer
        What was drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.decomposition import PCA
    >>> from skae.outlier import OutlierDetector
    >>> from skae.plotting import ExplanationDisplay
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> X = (X - X.mean()) / X.std()
    >>> detector = OutlierDetector(PCA(10), random_state=0).fit(X[y == 1])
    >>> display = ExplanationDisplay.from_estimator(detector, X[y == 0][:30], max_features=8)
    >>> display.contributions.shape, len(display.features_)
    ((30, 30), 8)
    """

    def __init__(self, contributions: np.ndarray, *, feature_names: Sequence[str] | None = None):
        self.contributions = contributions
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        feature_names: Sequence[str] | None = None,
        ax: Any = None,
        **settings: Any,
    ) -> ExplanationDisplay:
        """Draw the contributions to the scores of rows.

        Parameters
        ----------
        estimator : estimator
            A fitted one with `explain`, such as a `skae.OutlierDetector`, or a Pipeline that ends
            in one; the features are then those that its last step sees.
        X : array-like of shape (n_samples, n_features)
            The rows, one or some dozens.
        feature_names : list of str, default=None
            Names of the features. None takes those seen in `fit`, or their numbers.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **settings : keywords
            For `plot`.

        Returns
        -------
        ExplanationDisplay

        Raises
        ------
        TypeError
            If the estimator has no `explain`.
        ValueError
            If there are not as many names as features.
        """
        learner, rows = before_last(estimator, X)
        require(learner, "explain", of=cls.__name__)
        contributions = np.asarray(learner.explain(rows))
        contributions = contributions.reshape(len(contributions), -1)
        if feature_names is None:
            feature_names = getattr(learner, "feature_names_in_", None)
        elif len(feature_names) != contributions.shape[1]:
            raise ValueError(
                f"There are {len(feature_names)} feature_names for {contributions.shape[1]} "
                "features."
            )
        return cls(contributions, feature_names=feature_names).plot(ax, **settings)

    def plot(
        self,
        ax: Any = None,
        *,
        max_features: int = 20,
        relative: bool = False,
        cmap: str | None = None,
    ) -> ExplanationDisplay:
        """Draw bars for one row, and a picture with a column for each row for more.

        What is drawn is minus the contributions: how much a feature makes for an outlier.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        max_features : int, default=20
            How many features to draw: those that do most in the mean of the rows, the first on
            top. If there are no more than that they stay in their order, but for one row.
        relative : bool, default=False
            Whether to draw the share of the score of the row, so that all rows are seen alike.
        cmap : str, default=None
            Colours. None is "cividis", or orange for negative and violet for positive if
            there are both.

        Returns
        -------
        ExplanationDisplay
        """
        blame = -np.asarray(self.contributions)
        label = "minus the contribution to the score"
        if relative:
            blame, label = blame / blame.sum(axis=1, keepdims=True), "share of the score"
        order = np.argsort(-blame.mean(axis=0), kind="stable")[:max_features]
        few = blame.shape[1] <= max_features and len(blame) > 1
        self.features_ = np.sort(order) if few else order
        names = [str(i) for i in range(blame.shape[1])]
        if self.feature_names is not None:
            names = [str(name) for name in self.feature_names]
        drawn = blame[:, self.features_]
        ax = self._axes(ax, figsize=(max(5, 2.5 + 0.15 * len(blame)), 1 + 0.2 * len(order)))
        ax.set_yticks(range(len(order)), [names[i] for i in self.features_], fontsize="small")
        if len(blame) == 1:
            self.image_ = ax.barh(range(len(order)), drawn[0], color="#0072B2")
            ax.set(xlabel=label, ylim=(len(order) - 0.5, -0.5))
            ax.axvline(0, color="k", lw=0.8)
            return self
        limits = {"vmin": min(0, drawn.min()), "vmax": drawn.max()}
        if drawn.min() < -0.05 * drawn.max():  # negative ones that matter
            largest = np.abs(drawn).max()
            limits, cmap = {"vmin": -largest, "vmax": largest}, cmap or "PuOr"
        self.image_ = ax.imshow(drawn.T, cmap=cmap or "cividis", aspect="auto", **limits)
        ax.set(xlabel="row", ylabel="feature")
        self.figure_.colorbar(self.image_, ax=ax, label=label)
        return self
