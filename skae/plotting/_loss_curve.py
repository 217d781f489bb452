"""How the loss of a fit went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._shared import COLOURS, Display, last_of

_NAMES = {"train_loss": "training", "valid_loss": "validation"}


class LossCurveDisplay(Display):
    """The losses of a fit, epoch by epoch.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    curves : dict of str to array-like of shape (n_epochs,)
        A curve for each name.
    ylabel : str, default="loss"
        What the curves measure.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.
    lines_ : list of matplotlib Line2D
        A line for each curve.

    Examples
    --------
    Curves of two fits by their names:

    >>> from sklearn.datasets import load_digits
    >>> from skae import Autoencoder
    >>> from skae.plotting import LossCurveDisplay
    >>> X = load_digits().data / 16
    >>> narrow, wide = (Autoencoder(n, max_iter=5, tol=1.0, random_state=0) for n in (2, 32))
    >>> display = LossCurveDisplay(
    ...     {"2 components": narrow.fit(X).loss_curve_, "32": wide.fit(X).loss_curve_}
    ... )
    >>> _ = display.plot()

    Those of one fit, where all that it recorded is drawn:

    >>> LossCurveDisplay.from_estimator(wide).curves.keys()
    dict_keys(['training'])
    """

    def __init__(self, curves: Mapping[str, Any], *, ylabel: str = "loss"):
        self.curves = curves
        self.ylabel = ylabel

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        names: Sequence[str] | None = None,
        label: str | None = None,
        ylabel: str | None = None,
        ax: Any = None,
        **settings: Any,
    ) -> LossCurveDisplay:
        """Draw the curves that a fit has recorded.

        Parameters
        ----------
        estimator : estimator
            A fitted one; of a Pipeline, the last step is looked at.
        names : list of str, default=None
            Which curves of `history_`. None takes those of losses, of training and validation
            and of both players of an adversarial model, or the errors of quantisation of a map.
        label : str, default=None
            Name of the estimator, to tell curves apart that are drawn on the same axes.
        ylabel : str, default=None
            What the curves measure. None says "loss", or the name of the only curve.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **settings : keywords
            For ``Axes.plot``.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        ValueError
            If there is no such curve.
        """
        learner = last_of(estimator)
        check_is_fitted(learner)
        recorded = getattr(learner, "history_", {})
        if names is None:
            names = [name for name in recorded if name.endswith("_loss")]
            if not names and hasattr(learner, "quantization_errors_"):
                recorded = {"quantization error": learner.quantization_errors_}
                names = list(recorded)
        unknown = [name for name in names if name not in recorded]
        if unknown or not names:
            raise ValueError(
                f"{type(learner).__name__} has recorded no curve {unknown[0]!r}; names must be "
                f"among {list(recorded)}."
                if unknown
                else f"{type(learner).__name__} has recorded no losses; choose names among "
                f"{list(recorded)}."
            )
        if ylabel is None:
            is_loss = len(names) > 1 or names[0] in _NAMES
            ylabel = "loss" if is_loss else names[0].replace("_", " ")
        curves = {_NAMES.get(name, name.replace("_", " ")): recorded[name] for name in names}
        if label is not None:
            only = len(curves) == 1
            curves = {label if only else f"{label}, {name}": one for name, one in curves.items()}
        display = cls({k: np.asarray(v) for k, v in curves.items()}, ylabel=ylabel)
        return display.plot(ax, **settings)

    def plot(self, ax: Any = None, **settings: Any) -> LossCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **settings : keywords
            For ``Axes.plot``.

        Returns
        -------
        LossCurveDisplay
        """
        ax = self._axes(ax)
        self.lines_ = []
        for name, curve in self.curves.items():
            colour = COLOURS[len(ax.lines) % len(COLOURS)]
            epochs = np.arange(1, len(curve) + 1)
            self.lines_ += ax.plot(epochs, curve, **{"label": name, "color": colour, **settings})
        ax.set(xlabel="epoch", ylabel=self.ylabel)
        ax.legend()
        return self
