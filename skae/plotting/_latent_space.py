"""Codes on a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from ._shared import (
    Display,
    as_images,
    before_last,
    class_styles,
    is_label,
    mosaic,
    require,
)

_AXES = {"pca": "principal component", "tsne": "t-SNE", "umap": "UMAP"}


class LatentSpaceDisplay(Display):
    """Codes of rows on a plane, and what is decoded over the plane.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, 2)
        Where each row lies.
    y : array-like of shape (n_samples,), default=None
        Classes, or values, for the colours.
    axis_name : str, default="component"
        What the axes are; they are numbered.
    decoded : ndarray of shape (n_grid, n_grid, height, width), default=None
        Images decoded over the plane, from its top left. Or with a last axis of 3 colours.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.
    points_ : list of matplotlib PathCollection
        The points, of each class if there are classes; without points, empty.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import VariationalAutoencoder
    >>> from skae.plotting import LatentSpaceDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> autoencoder = VariationalAutoencoder(
    ...     2, likelihood="bernoulli", max_iter=5, tol=1.0, random_state=0
    ... ).fit(X / 16)
    >>> display = LatentSpaceDisplay.from_estimator(autoencoder, X / 16, y, n_grid=10)
    >>> display.decoded.shape
    (10, 10, 8, 8)

    The plot has the codes; this has what is decoded:

    >>> _ = display.plot(kind="decoded")
    """

    def __init__(
        self,
        codes: np.ndarray,
        y: Any = None,
        *,
        axis_name: str = "component",
        decoded: np.ndarray | None = None,
    ):
        self.codes = codes
        self.y = y
        self.axis_name = axis_name
        self.decoded = decoded

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        method: str = "pca",
        n_grid: int | None = None,
        image_shape: Sequence[int] | None = None,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
        **settings: Any,
    ) -> LatentSpaceDisplay:
        """Draw the codes that an estimator gives rows.

        Parameters
        ----------
        estimator : estimator
            A fitted one with `transform`; it may be a Pipeline.
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,), default=None
            Classes, or values, for the colours.
        method : {"pca", "tsne", "umap"}, default="pca"
            How codes of more than two components come to the plane. "umap" needs the package
            umap-learn.
        n_grid : int, default=None
            If given, so many codes in each direction are decoded, for an estimator with two
            components and `inverse_transform`. Equal shares of the codes lie between them in each
            direction.
        image_shape : tuple of int, default=None
            The shape of a decoded image, (height, width) or (n_channels, height, width). None
            takes that of the samples seen in `fit`; flat rows are square images.
        random_state : int, RandomState instance or None, default=None
            Source of the random numbers of "tsne" and "umap".
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **settings : keywords
            For `plot`.

        Returns
        -------
        LatentSpaceDisplay

        Raises
        ------
        ImportError
            If `method` is "umap" and umap-learn is missing.
        TypeError
            If the estimator has no `transform`, or with `n_grid` no `inverse_transform`.
        ValueError
            If the codes have one component, or with `n_grid` other than two.
        """
        if method not in _AXES:
            raise ValueError(f"method must be one of {sorted(_AXES)}, got {method!r}.")
        learner, rows = before_last(estimator, X)
        require(learner, "transform", of=cls.__name__)
        codes = np.asarray(learner.transform(rows))
        width = codes.shape[1]
        if width == 1 or (n_grid is not None and width != 2):
            needed = "at least two components" if n_grid is None else "two components for n_grid"
            raise ValueError(
                f"{cls.__name__} needs codes of {needed}, but those of {type(learner).__name__} "
                f"have {width}."
            )
        decoded = None if n_grid is None else _decode_grid(learner, codes, n_grid, image_shape)
        axis_name = "component" if width == 2 else _AXES[method]
        if width > 2:
            codes = _on_a_plane(codes, method, random_state)
        return cls(codes, y, axis_name=axis_name, decoded=decoded).plot(ax, **settings)

    def plot(
        self, ax: Any = None, *, kind: str = "codes", cmap: str | None = None, **settings: Any
    ) -> LatentSpaceDisplay:
        """Draw the codes, or the images that are decoded over the plane.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        kind : {"codes", "decoded"}, default="codes"
            What to draw.
        cmap : str, default=None
            Colours of values, by default "viridis", or of images, by default "gray_r".
            Classes have colours and markers of their own.
        **settings : keywords
            For ``Axes.scatter``.

        Returns
        -------
        LatentSpaceDisplay
        """
        if kind not in ("codes", "decoded"):
            raise ValueError(f"kind must be 'codes' or 'decoded', got {kind!r}.")
        if kind == "decoded" and self.decoded is None:
            raise ValueError("There is nothing decoded; give n_grid to from_estimator.")
        ax = self._axes(ax, figsize=(6, 5))
        self.points_: list[Any] = []
        if kind == "codes":
            self._plot_codes(ax, cmap, {"s": 12, **settings})
        else:
            assert self.decoded is not None
            n_rows, n_columns, *shape = self.decoded.shape
            image = mosaic(self.decoded.reshape(-1, *shape), n_rows, n_columns)
            ax.imshow(image, cmap=cmap or "gray_r")
            ax.set(xticks=[], yticks=[])
        ax.set(xlabel=f"{self.axis_name} 1", ylabel=f"{self.axis_name} 2")
        return self

    def _plot_codes(self, ax: Any, cmap: str | None, settings: dict[str, Any]) -> None:
        if self.y is None:
            self.points_ = [ax.scatter(*self.codes.T, **settings)]
            return
        y = np.asarray(self.y)
        if is_label(y):
            for name, rows, style in class_styles(y):
                points = ax.scatter(*self.codes[rows].T, label=name, **{**style, **settings})
                self.points_.append(points)
            ax.legend(title=getattr(self.y, "name", None), markerscale=1.5, fontsize="small")
        else:
            self.points_ = [ax.scatter(*self.codes.T, c=y, cmap=cmap or "viridis", **settings)]
            self.figure_.colorbar(self.points_[0], ax=ax, label=getattr(self.y, "name", "y"))


def _on_a_plane(codes: np.ndarray, method: str, random_state: Any) -> np.ndarray:
    if method == "pca":
        return PCA(2, random_state=random_state).fit_transform(codes)
    if method == "tsne":
        perplexity = min(30, (len(codes) - 1) / 3)  # of few rows, less than scikit-learn's default
        embedding = TSNE(2, perplexity=perplexity, init="pca", random_state=random_state)
        return embedding.fit_transform(codes)
    try:
        from umap import UMAP
    except ImportError as error:
        raise ImportError(
            "method='umap' needs the package umap-learn: pip install umap-learn."
        ) from error
    return UMAP(2, random_state=random_state).fit_transform(codes)


def _decode_grid(
    learner: Any, codes: np.ndarray, n_grid: int, image_shape: Sequence[int] | None
) -> np.ndarray:
    """Return images decoded over a plane, of shape (n_grid, n_grid, height, width, ...)."""
    require(learner, "inverse_transform", of="n_grid")
    along, up = np.quantile(codes, (np.arange(n_grid) + 0.5) / n_grid, axis=0).T
    grid = np.stack(np.meshgrid(along, up[::-1]), axis=-1).reshape(-1, 2)
    rows = np.asarray(learner.inverse_transform(grid.astype(codes.dtype)))
    images = as_images(rows, image_shape)
    return images.reshape(n_grid, n_grid, *images.shape[1:])
