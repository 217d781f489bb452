"""Rows beside their reconstructions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._shared import COLOURS, Display, as_images, panels, require


class ReconstructionDisplay(Display):
    """Images or signals, what an estimator makes of them, and the error.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    rows : dict of str to ndarray of shape (n_samples, ...)
        The same samples in several states, by name: images of shape (n_samples, height,
        width) or (n_samples, height, width, 3), or signals of shape (n_samples, n_steps).
        The first state of images decides how dark they are drawn. NaN has a colour of its
        own.
    error : ndarray of the shape of the rows, default=None
        The difference of two of them, drawn below images and filled in between signals.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.
    axes_ : ndarray of matplotlib Axes
        The axes in it: of images a row for each state and a column for each sample, of
        signals one for each sample.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import Autoencoder
    >>> from skae.plotting import ReconstructionDisplay
    >>> X = load_digits().data / 16
    >>> autoencoder = Autoencoder(8, max_iter=5, tol=1.0, random_state=0).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(
    ...     autoencoder, X[:6], image_shape=(8, 8)
    ... )
    >>> display.rows["reconstruction"].shape
    (6, 8, 8)
    """

    def __init__(self, rows: Mapping[str, np.ndarray], *, error: np.ndarray | None = None):
        self.rows = rows
        self.error = error

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        original: Any = None,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        **settings: Any,
    ) -> ReconstructionDisplay:
        """Draw rows and their reconstructions by an estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted one with `reconstruct`, or with `transform` and `inverse_transform`, as a
            Pipeline of transformers that have both.
        X : array-like of shape (n_samples, n_features)
            The rows, some ten of them. Images and signals may have their own shape.
        original : array-like of the shape of `X`, default=None
            The rows before noise came to them, if they are known; the error is then the
            difference from these.
        image_shape : tuple of int, default=None
            The shape of an image, (height, width) or (n_channels, height, width). None takes
            that of the samples of `X`; flat rows are drawn as signals.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **settings : keywords
            For `plot`.

        Returns
        -------
        ReconstructionDisplay

        Raises
        ------
        TypeError
            If the estimator does not reconstruct.
        ValueError
            If `image_shape` does not have as many pixels as a row has features.
        """
        if hasattr(estimator, "reconstruct"):
            rebuilt = estimator.reconstruct(X)
        else:
            require(estimator, "transform", "inverse_transform", of="ReconstructionDisplay")
            rebuilt = estimator.inverse_transform(estimator.transform(X))
        states = {"input": X, "reconstruction": rebuilt}
        if original is not None:
            states = {"original": original, **states}
        rows = {name: shaped(np.asarray(one), image_shape) for name, one in states.items()}
        error = rows["reconstruction"] - next(iter(rows.values()))
        return cls(rows, error=error).plot(ax, **settings)

    def plot(self, ax: Any = None, *, cmap: str = "gray_r") -> ReconstructionDisplay:
        """Draw the rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        cmap : str, default="gray_r"
            Colours of images.

        Returns
        -------
        ReconstructionDisplay
        """
        shape = next(iter(self.rows.values())).shape
        return self._plot_signals(ax) if len(shape) == 2 else self._plot_images(ax, shape, cmap)

    def _plot_images(self, ax: Any, shape: tuple[int, ...], cmap: str) -> ReconstructionDisplay:
        n_samples, height, width = shape[:3]
        n_states = len(self.rows) + (self.error is not None)
        size = (0.9 * n_samples + 1, 0.9 * n_states * height / width + 0.3)
        ax = self._axes(ax, figsize=size)
        import matplotlib.pyplot as plt

        self.axes_ = panels(ax, n_states, n_samples)
        first = next(iter(self.rows.values()))
        limits = {"vmin": np.nanmin(first), "vmax": np.nanmax(first)}
        colours = plt.get_cmap(cmap).with_extremes(bad=COLOURS[5])
        for (name, images), line in zip(self.rows.items(), self.axes_, strict=False):
            for image, one in zip(images, line, strict=True):
                one.imshow(image, cmap=colours, **limits)
            line[0].set_ylabel(name)
        if self.error is not None:
            limit = np.nanmax(np.abs(self.error))
            # Of colours, the difference of their means.
            flat = self.error.mean(axis=3) if self.error.ndim == 4 else self.error
            for image, one in zip(flat, self.axes_[-1], strict=True):
                drawn = one.imshow(image, cmap="PuOr", vmin=-limit, vmax=limit)
            self.axes_[-1][0].set_ylabel("error")
            self.figure_.colorbar(drawn, ax=ax, label="error", shrink=0.6)
        return self

    def _plot_signals(self, ax: Any) -> ReconstructionDisplay:
        n_samples, n_steps = next(iter(self.rows.values())).shape
        ax = self._axes(ax, figsize=(8, 1.3 * n_samples + 0.5))
        self.axes_ = panels(ax, n_samples, 1)[:, 0]
        states = list(self.rows.items())
        for sample, one in enumerate(self.axes_):
            for (name, rows), colour in zip(states, (COLOURS[-1], *COLOURS), strict=False):
                one.plot(rows[sample], color=colour, lw=1, label=name)
            if self.error is not None:
                rebuilt = states[-1][1][sample]
                first = rebuilt - self.error[sample]
                where = np.arange(n_steps)
                one.fill_between(where, first, rebuilt, color=COLOURS[5], alpha=0.4, label="error")
            one.yaxis.set_tick_params(labelleft=True)
            one.set_yticks([np.round(one.get_ylim()[0], 1), np.round(one.get_ylim()[1], 1)])
        self.axes_[0].legend(fontsize="small", ncols=len(states) + 1)
        self.axes_[-1].set_xlabel("step")
        self.axes_[-1].set_xticks(np.linspace(0, n_steps - 1, 5).astype(int))
        return self


def shaped(rows: np.ndarray, image_shape: Sequence[int] | None) -> np.ndarray:
    """Return rows as images, or as signals if they are flat and no shape is given."""
    if image_shape is None and rows.ndim == 3 and rows.shape[1] == 1:
        return rows[:, 0]  # signals of one channel
    return rows if image_shape is None and rows.ndim == 2 else as_images(rows, image_shape)
