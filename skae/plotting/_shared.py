"""What the displays share: axes, colours, images, and the steps of a pipeline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.multiclass import type_of_target

#: The colours of Okabe and Ito, which also those tell apart who do not see all colours.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7"),
    *("#56B4E9", "#D55E00", "#F0E442", "#000000"),
)
MARKERS = "o^sDvP*X"


class Display:
    """What is drawn on axes."""

    ax_: Any
    figure_: Any

    def _axes(self, ax: Any, **settings: Any) -> Any:
        """Return the axes to draw on, which are new ones if none are given, and keep them."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots(**{"layout": "constrained", **settings})
        self.ax_, self.figure_ = ax, ax.figure
        return ax


def panels(ax: Any, n_rows: int, n_columns: int, *, gap: float = 0.08) -> np.ndarray:
    """Return a grid of axes in the place of given ones."""
    ax.set_axis_off()
    width, height = 1 / n_columns, 1 / n_rows
    grid = np.empty((n_rows, n_columns), dtype=object)
    for row, column in np.ndindex(grid.shape):
        place = [column * width, 1 - (row + 1) * height, (1 - gap) * width, (1 - gap) * height]
        panel = ax.inset_axes(place)
        panel.set(xticks=[], yticks=[])
        grid[row, column] = panel
    return grid


def nearly_square(n: int, n_columns: int | None = None) -> tuple[int, int]:
    """Return the rows and columns of a grid for `n` things, with that many columns if given."""
    columns = min(n, math.ceil(math.sqrt(n)) if n_columns is None else n_columns)
    return math.ceil(n / columns), columns


# -- classes and values ----------------------------------------------------------------------


def is_label(y: np.ndarray) -> bool:
    """Return whether a target tells classes rather than values."""
    return type_of_target(y) in ("binary", "multiclass")


def class_styles(y: np.ndarray) -> Iterator[tuple[Any, np.ndarray, dict[str, str]]]:
    """Return of each class its rows, and a colour and a marker that no other class has."""
    for place, name in enumerate(np.unique(y)):
        marker = MARKERS[place // len(COLOURS) % len(MARKERS)]
        yield name, y == name, {"color": COLOURS[place % len(COLOURS)], "marker": marker}


# -- images ------------------------------------------------------------------------------------


def as_images(rows: np.ndarray, image_shape: Sequence[int] | None) -> np.ndarray:
    """Return rows as images of shape (n, height, width) or (n, height, width, n_colours).

    Parameters
    ----------
    rows : ndarray of shape (n, n_features), (n, height, width) or (n, n_channels, height, width)
        The rows.
    image_shape : tuple of int or None
        The shape of an image, (height, width) or (n_channels, height, width) with 1 or 3
        channels. None takes that of the rows; flat ones are square images.
    """
    if image_shape is None:
        side = math.isqrt(math.prod(rows.shape[1:]))
        if rows.ndim == 2 and side**2 != rows.shape[1]:
            raise ValueError(
                f"The {rows.shape[1]} features are no square image; give image_shape, such as "
                "(height, width)."
            )
        image_shape = (side, side) if rows.ndim == 2 else rows.shape[1:]
    if len(image_shape) not in (2, 3) or (len(image_shape) == 3 and image_shape[0] not in (1, 3)):
        raise ValueError(
            "image_shape must be (height, width), or (n_channels, height, width) with 1 or 3 "
            f"channels, got {tuple(image_shape)}."
        )
    n_features = math.prod(rows.shape[1:])
    if math.prod(image_shape) != n_features:
        raise ValueError(
            f"image_shape {tuple(image_shape)} has {math.prod(image_shape)} pixels, but the rows "
            f"have {n_features} features."
        )
    images = rows.reshape(len(rows), *image_shape)
    if len(image_shape) == 2:
        return images
    return images[:, 0] if image_shape[0] == 1 else images.transpose(0, 2, 3, 1)


def mosaic(images: np.ndarray, n_rows: int, n_columns: int) -> np.ndarray:
    """Return images side by side in one, row by row, with lines of NaN between them."""
    n, height, width, *colours = images.shape
    tiles = np.full((n_rows * n_columns, height + 1, width + 1, *colours), np.nan)
    tiles[:n, :height, :width] = images
    tiles = tiles.reshape(n_rows, n_columns, *tiles.shape[1:]).swapaxes(1, 2)
    return tiles.reshape(n_rows * (height + 1), n_columns * (width + 1), *colours)[:-1, :-1]


# -- pipelines -----------------------------------------------------------------------------------


def before_last(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the last step of a pipeline, and rows as it sees them."""
    if isinstance(estimator, Pipeline):
        return estimator[-1], X if len(estimator) == 1 else estimator[:-1].transform(X)
    return estimator, X


def last_of(estimator: Any) -> Any:
    """Return the last step of a pipeline, and any other estimator as it is."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def require(estimator: Any, *methods: str, of: str) -> None:
    """Refuse an estimator without some methods."""
    missing = [method for method in methods if not hasattr(estimator, method)]
    if missing:
        raise TypeError(
            f"{of} needs an estimator with the method{'s' * (len(methods) > 1)} "
            f"{' and '.join(methods)}, but {type(estimator).__name__} has no {missing[0]}."
        )
