"""Pictures of a self-organising map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._shared import (
    COLOURS,
    Display,
    before_last,
    class_styles,
    last_of,
    nearly_square,
    panels,
    require,
)


class SOMDisplay(Display):
    """A map: distances between its units, how many rows they win, or their prototypes.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    positions : ndarray of shape (n_units, 2)
        Where each unit lies.
    u_matrix : ndarray of shape (n_units,)
        Mean distance of each prototype from those of the adjacent units.
    planes : ndarray of shape (n_features, n_units)
        The value of each feature in each prototype.
    hexagonal : bool, default=False
        Whether units are hexagons rather than squares.
    hits : ndarray of shape (n_units, n_classes), default=None
        How many rows of each class each unit wins; of shape (n_units, 1) without classes.
    class_names : array-like of shape (n_classes,), default=None
        Names of the classes.
    feature_names : list of str, default=None
        Names of the features.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.
    units_ : matplotlib PolyCollection or list of them
        The units; of each feature if planes are drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.preprocessing import scale
    >>> from skae import SelfOrganizingMap
    >>> from skae.plotting import SOMDisplay
    >>> X, y = load_wine(return_X_y=True)
    >>> som = SelfOrganizingMap((6, 9), topology="hexagonal", n_iter=5, random_state=0)
    >>> display = SOMDisplay.from_estimator(som.fit(scale(X)), scale(X), y)
    >>> display.u_matrix.shape, display.hits.shape
    ((54,), (54, 3))
    >>> _ = display.plot(kind="hits")
    """

    def __init__(
        self,
        positions: np.ndarray,
        u_matrix: np.ndarray,
        planes: np.ndarray,
        *,
        hexagonal: bool = False,
        hits: np.ndarray | None = None,
        class_names: Any = None,
        feature_names: Sequence[str] | None = None,
    ):
        self.positions = positions
        self.u_matrix = u_matrix
        self.planes = planes
        self.hexagonal = hexagonal
        self.hits = hits
        self.class_names = class_names
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        feature_names: Sequence[str] | None = None,
        ax: Any = None,
        **settings: Any,
    ) -> SOMDisplay:
        """Draw a fitted map.

        Parameters
        ----------
        estimator : SelfOrganizingMap
            A fitted one, or a Pipeline that ends in one.
        X : array-like of shape (n_samples, n_features), default=None
            Rows, for `kind` "hits".
        y : array-like of shape (n_samples,), default=None
            Their classes, for the colours.
        feature_names : list of str, default=None
            Names of the features. None takes those seen in `fit`, or their numbers.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **settings : keywords
            For `plot`, above all its `kind`.

        Returns
        -------
        SOMDisplay

        Raises
        ------
        TypeError
            If the estimator is no map.
        """
        som = last_of(estimator)
        require(som, "u_matrix", "component_planes", of=cls.__name__)
        check_is_fitted(som)
        hits, class_names = None, None
        if X is not None:
            rows = before_last(estimator, X)[1]
            classes = np.zeros(len(rows)) if y is None else np.asarray(y)
            winners = som.predict(rows)
            class_names, codes = np.unique(classes, return_inverse=True)
            hits = np.zeros((len(som.grid_positions_), len(class_names)), dtype=int)
            np.add.at(hits, (winners, codes), 1)
        if feature_names is None:
            feature_names = getattr(som, "feature_names_in_", None)
        planes = som.component_planes()
        return cls(
            som.grid_positions_,
            som.u_matrix().ravel(),
            planes.reshape(len(planes), -1),
            hexagonal=som.topology == "hexagonal",
            hits=hits,
            class_names=None if y is None else class_names,
            feature_names=feature_names,
        ).plot(ax, **settings)

    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "u_matrix",
        features: Sequence[int] | None = None,
        cmap: str | None = None,
    ) -> SOMDisplay:
        """Draw one of the pictures.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        kind : {"u_matrix", "hits", "planes"}, default="u_matrix"
            What to draw: ridges of the U-matrix part the map into regions; the area of a unit
            in the picture of hits is in proportion to the rows that it wins, in the colour of
            most of them; a plane has the values of one feature.
        features : list of int, default=None
            Which planes. None draws all.
        cmap : str, default=None
            Colours. None is "cividis" for the U-matrix and "viridis" for planes.

        Returns
        -------
        SOMDisplay

        Raises
        ------
        ValueError
            If `kind` is none of these, or there are no rows for "hits".
        """
        if kind == "u_matrix":
            ax = self._axes(ax)
            self.units_ = self._draw(ax, array=self.u_matrix, cmap=cmap or "cividis")
            label = "distance of adjacent prototypes"
            self.figure_.colorbar(self.units_, ax=ax, label=label, shrink=0.8)
        elif kind == "hits":
            if self.hits is None:
                raise ValueError("kind='hits' needs X, the rows that the units win.")
            self._plot_hits(self._axes(ax), self.hits)
        elif kind == "planes":
            self._plot_planes(ax, features, cmap or "viridis")
        else:
            raise ValueError(f"kind must be 'u_matrix', 'hits' or 'planes', got {kind!r}.")
        return self

    def _plot_hits(self, ax: Any, hits: np.ndarray) -> None:
        self._draw(ax, facecolors="0.93")
        total, most = hits.sum(axis=1), hits.argmax(axis=1)
        colours = np.array([COLOURS[k % len(COLOURS)] for k in range(hits.shape[1])])
        self.units_ = self._draw(ax, sizes=total / total.max(), facecolors=colours[most])
        ax.set_title(f"rows of a unit, at most {total.max()}", fontsize="medium")
        if self.class_names is not None:
            for name, _, style in class_styles(np.asarray(self.class_names)):
                ax.scatter([], [], color=style["color"], marker="s", label=name)
            settings = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "frameon": False}
            ax.legend(ncols=min(hits.shape[1], 5), **settings)

    def _plot_planes(self, ax: Any, features: Sequence[int] | None, cmap: str) -> None:
        chosen = range(len(self.planes)) if features is None else features
        n_rows, n_columns = nearly_square(len(chosen))
        ax = self._axes(ax, figsize=(2.3 * n_columns, 2.2 * n_rows))
        grid = panels(ax, n_rows, n_columns, gap=0.15).ravel()
        self.units_ = []
        for one, feature in zip(grid, chosen, strict=False):
            units = self._draw(one, array=self.planes[feature], cmap=cmap)
            low, high = self.planes[feature].min(), self.planes[feature].max()
            name = feature if self.feature_names is None else self.feature_names[feature]
            one.set_title(f"{name}\n{low:.3g} to {high:.3g}", fontsize="x-small")
            self.units_.append(units)
        for one in grid[len(chosen) :]:
            one.set_axis_off()

    def _draw(self, ax: Any, *, sizes: Any = 1.0, **settings: Any) -> Any:
        """Draw the units as polygons, which have the given share of their full area."""
        from matplotlib.collections import PolyCollection

        n_corners = 6 if self.hexagonal else 4
        angles = 2 * np.pi * (np.arange(n_corners) + 0.5) / n_corners
        # Neighbours, which are 1 apart, share a side.
        radius = 0.5 / np.cos(np.pi / n_corners)
        corners = radius * np.column_stack([np.sin(angles), np.cos(angles)])
        if self.hexagonal:
            corners = corners[:, ::-1]  # with a corner on top
        scale = np.sqrt(np.broadcast_to(sizes, len(self.positions)))[:, None, None]
        units = PolyCollection(self.positions[:, None] + scale * corners, **settings)
        ax.add_collection(units)
        low, high = self.positions.min(axis=0) - 0.7, self.positions.max(axis=0) + 0.7
        ax.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), aspect="equal")
        ax.set_axis_off()
        return units
