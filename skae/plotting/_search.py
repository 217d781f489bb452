"""What a search over parameters found."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._shared import COLOURS, Display


class SearchDisplay(Display):
    """Scores of a grid search over one or two of its parameters.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    scores : ndarray of shape (n_y, n_x)
        The score of each pair of values; NaN where a pair was not tried.
    x_values, y_values : list
        Values of the parameters. `y_values` has None alone for one parameter.
    x, y : str
        Names of the parameters; `y` is None for one.
    score_name : str, default="mean test score"
        What the scores are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.
    image_ : matplotlib AxesImage
        The heat map.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skae import Autoencoder
    >>> from skae.plotting import SearchDisplay
    >>> X = load_digits().data / 16
    >>> grid = {"n_components": [2, 8, 16], "learning_rate": [1e-3, 1e-2]}
    >>> search = GridSearchCV(Autoencoder(max_iter=3, tol=1.0, random_state=0), grid, cv=2)
    >>> display = SearchDisplay.from_estimator(search.fit(X), "n_components", "learning_rate")
    >>> display.scores.shape
    (2, 3)
    """

    def __init__(
        self,
        scores: np.ndarray,
        x_values: list[Any],
        y_values: list[Any],
        x: str,
        y: str | None = None,
        *,
        score_name: str = "mean test score",
    ):
        self.scores = scores
        self.x_values = x_values
        self.y_values = y_values
        self.x = x
        self.y = y
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: str,
        y: str | None = None,
        *,
        score: str = "mean_test_score",
        ax: Any = None,
        **settings: Any,
    ) -> SearchDisplay:
        """Draw the scores of a fitted search.

        Parameters
        ----------
        estimator : GridSearchCV or RandomizedSearchCV
            Or another one that has `cv_results_`.
        x : str
            The parameter along the picture, by its name in the grid.
        y : str, default=None
            The parameter from bottom to top. None draws one line.
        score : str, default="mean_test_score"
            Which column of `cv_results_`. Of candidates that have the same values of `x` and
            `y` and differ in other parameters, the largest counts.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **settings : keywords
            For `plot`.

        Returns
        -------
        SearchDisplay

        Raises
        ------
        ValueError
            If `x` or `y` was not searched, or there is no such score.
        """
        check_is_fitted(estimator, "cv_results_")
        results = estimator.cv_results_
        searched = sorted({name for tried in results["params"] for name in tried})
        for name, value in (("x", x), ("y", y)):
            if value not in searched and (name, value) != ("y", None):
                raise ValueError(
                    f"{name}={value!r} was not searched; the parameters are {searched}."
                )
        if score not in results:
            known = [name for name in results if name.startswith(("mean_", "std_"))]
            raise ValueError(f"score={score!r} is not in cv_results_, which has {known}.")
        x_values = _values(results["params"], x)
        y_values = [None] if y is None else _values(results["params"], y)
        scores = np.full((len(y_values), len(x_values)), np.nan)
        for tried, value in zip(results["params"], results[score], strict=True):
            if x in tried and (y is None or y in tried):
                place = 0 if y is None else _index(y_values, tried[y]), _index(x_values, tried[x])
                scores[place] = np.fmax(scores[place], value)
        name = score.replace("_", " ")
        return cls(scores, x_values, y_values, x, y, score_name=name).plot(ax, **settings)

    def plot(
        self, ax: Any = None, *, cmap: str = "cividis", values_format: str = ".3g"
    ) -> SearchDisplay:
        """Draw a heat map with the scores in it, and a frame around the highest.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        cmap : str, default="cividis"
            Colours.
        values_format : str, default=".3g"
            How numbers are written in it.

        Returns
        -------
        SearchDisplay
        """
        n_y, n_x = self.scores.shape
        ax = self._axes(ax, figsize=(max(4, 0.9 * n_x + 2.5), max(1.8, 0.6 * n_y + 1.2)))
        from matplotlib.patches import Rectangle

        self.image_ = ax.imshow(self.scores, cmap=cmap, aspect="auto", origin="lower")
        self.figure_.colorbar(self.image_, ax=ax, label=self.score_name)
        ax.set_xticks(range(n_x), [_shown(value) for value in self.x_values])
        ax.set_yticks(range(n_y), [_shown(value) for value in self.y_values])
        ax.set_xlabel(self.x)
        if self.y is None:
            ax.set_yticks([])
        else:
            ax.set_ylabel(self.y)
        for (row, column), score in np.ndenumerate(self.scores):
            if np.isfinite(score):
                dark = self.image_.norm(score) < 0.5
                text = format(score, values_format)
                colour = "white" if dark else "black"
                ax.text(column, row, text, ha="center", va="center", color=colour)
        if np.isfinite(self.scores).any():
            row, column = np.unravel_index(np.nanargmax(self.scores), self.scores.shape)
            place = (column - 0.48, row - 0.46)
            ax.add_patch(Rectangle(place, 0.96, 0.92, fill=False, ec=COLOURS[5], lw=2.5))
        return self


def _values(tried: list[dict[str, Any]], name: str) -> list[Any]:
    """Return the values of a parameter, numbers by size and others in the order of the grid."""
    values: list[Any] = []
    for parameters in tried:
        if name in parameters and not any(_same(parameters[name], one) for one in values):
            values.append(parameters[name])
    numbers = all(isinstance(one, Real) and not isinstance(one, bool) for one in values)
    return sorted(values) if numbers else values


def _index(values: list[Any], value: Any) -> int:
    return next(place for place, one in enumerate(values) if _same(one, value))


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and repr(a) == repr(b))


def _shown(value: Any) -> str:
    return format(value, ".3g") if isinstance(value, float | np.floating) else str(value)
