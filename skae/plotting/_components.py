"""What the components of an estimator look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._shared import Display, as_images, last_of, mosaic, nearly_square, require


class ComponentsDisplay(Display):
    """Filters, or what each component of a code adds to an image, as images.

    Use `from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    components : ndarray of shape (n_components, height, width)
        The images, or of shape (n_components, height, width, 3) in colours.
    signed : bool, default=True
        Whether each image is scaled by its largest absolute value and drawn with 0 in the
        middle of the colours. Otherwise all have the same scale.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        Its figure.
    image_ : matplotlib AxesImage
        All of the images, side by side in one.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import BernoulliRBM
    >>> from skae.plotting import ComponentsDisplay
    >>> X = load_digits().data / 16
    >>> machine = BernoulliRBM(36, n_iter=5, random_state=0).fit(X)
    >>> display = ComponentsDisplay.from_estimator(machine)
    >>> display.components.shape
    (36, 8, 8)
    """

    def __init__(self, components: np.ndarray, *, signed: bool = True):
        self.components = components
        self.signed = signed

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        components: Any = None,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        **settings: Any,
    ) -> ComponentsDisplay:
        """Draw the components of a fitted estimator.

        These are the rows of `components_`, where it has that, as a Boltzmann machine and
        PCA, or of `codebook_`, the prototypes of a map, which are no differences and are all
        drawn on the same scale. Of any other estimator, such as an autoencoder, a component
        is what is decoded from a code in which it is 1 and the others are 0, less what is
        decoded from zeros: the weights of the decoder if it is linear.

        Parameters
        ----------
        estimator : estimator
            A fitted one; of a Pipeline, the last step is looked at.
        components : int or array-like of int, default=None
            How many to draw, the first ones, or which. None draws all.
        image_shape : tuple of int, default=None
            The shape of an image, (height, width) or (n_channels, height, width). None takes
            that of the samples seen in `fit`; flat rows are square images.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **settings : keywords
            For `plot`.

        Returns
        -------
        ComponentsDisplay

        Raises
        ------
        TypeError
            If the estimator has no components and does not decode.
        ValueError
            If `image_shape` does not have as many pixels as a row has features.
        """
        learner = last_of(estimator)
        check_is_fitted(learner)
        for name in ("components_", "codebook_"):
            if hasattr(learner, name):
                found = getattr(learner, name)
                break
        else:
            require(learner, "inverse_transform", "get_feature_names_out", of=cls.__name__)
            width = len(learner.get_feature_names_out())
            codes = np.vstack([np.zeros(width), np.eye(width)]).astype(np.float32)
            decoded = learner.inverse_transform(codes)
            found = decoded[1:] - decoded[0]
        if components is not None:
            found = found[:components] if np.ndim(components) == 0 else found[components]
        images = as_images(np.asarray(found), image_shape)
        return cls(images, signed=not hasattr(learner, "codebook_")).plot(ax, **settings)

    def plot(
        self, ax: Any = None, *, n_columns: int | None = None, cmap: str | None = None
    ) -> ComponentsDisplay:
        """Draw the images in rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        n_columns : int, default=None
            How many images a row has. None makes a square of them.
        cmap : str, default=None
            Colours. None is orange for negative and violet for positive, or gray if they
            are not signed.

        Returns
        -------
        ComponentsDisplay
        """
        n_rows, n_columns = nearly_square(len(self.components), n_columns)
        ax = self._axes(ax, figsize=(6, 6 * n_rows / n_columns + 0.3))
        images = self.components
        limits = {"vmin": np.min(images), "vmax": np.max(images)}
        if self.signed:
            largest = np.abs(images).max(axis=tuple(range(1, images.ndim)), keepdims=True)
            images = images / np.where(largest > 0, largest, 1)
            limits = {"vmin": -1, "vmax": 1}
            if images.ndim == 4:  # colours from 0 to 1, gray for nothing
                images = (images + 1) / 2
        colours = cmap or ("PuOr" if self.signed else "gray_r")
        self.image_ = ax.imshow(mosaic(images, n_rows, n_columns), cmap=colours, **limits)
        ax.set(xticks=[], yticks=[], frame_on=False)
        return self
