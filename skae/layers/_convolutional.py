"""Convolutional layers for signals and images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from ._shared import (
    ACTIVATIONS,
    BatchNorm,
    Crop,
    Dropout,
    Stack,
    is_positive_int,
    make_linear,
)


class _Step(NamedTuple):
    """One convolution: channels and sizes before and after it, and what to pad."""

    n_in: int
    n_out: int
    size_in: tuple[int, ...]
    size_out: tuple[int, ...]
    padding: tuple[int, ...]
    left_over: tuple[int, ...]


class _Convolutional(BaseEstimator):
    """What the convolutional architectures share; they differ by the axes of a sample."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "shape": [tuple, list],
        "channels": [tuple, list],
        "kernel_size": [Interval(Integral, 1, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "batch_norm": ["boolean"],
    }
    _axes: ClassVar[tuple[str, ...]]
    _convolution: ClassVar[type[nn.Module]]
    _transposed: ClassVar[type[nn.Module]]

    def __init__(
        self,
        shape: Sequence[int],
        channels: Sequence[int] = (16, 32),
        *,
        kernel_size: int = 3,
        stride: int = 2,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ):
        self.shape = shape
        self.channels = channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm

    def make_encoder(self, n_features: int, n_components: int) -> nn.Module:
        """Build the layers from the features to the code.

        Parameters
        ----------
        n_features, n_components : int
            Width of the input, which is the product of `shape`, and of the code.

        Returns
        -------
        torch.nn.Module
            Takes flat rows of shape (n, n_features), returns shape (n, n_components).
        """
        steps = self._steps(n_features)
        layers, last = self._convolutions(steps), steps[-1]
        linear = make_linear(last.n_out * math.prod(last.size_out), n_components)
        return self._stack([*layers, nn.Flatten(), linear])

    def make_decoder(self, n_features: int, n_components: int, encoder: nn.Module) -> nn.Module:
        """Build the layers from the code to the features.

        Parameters
        ----------
        n_features, n_components : int
            Width of the output, which is the product of `shape`, and of the code.
        encoder : torch.nn.Module
            The encoder that this decoder mirrors.

        Returns
        -------
        torch.nn.Module
            Takes a batch of shape (n, n_components), returns flat rows of shape
            (n, n_features).
        """
        steps = self._steps(n_features)
        last = steps[-1]
        layers: list[nn.Module] = [
            make_linear(n_components, last.n_out * math.prod(last.size_out)),
            nn.Unflatten(1, (last.n_out, *last.size_out)),
        ]
        for step in reversed(steps):
            transposed = self._transposed(
                step.n_out,
                step.n_in,
                padding=step.padding,
                output_padding=step.left_over,
                **self._settings(),
            )
            layers += [*self._after(step.n_out, step.size_out), _initialised(transposed)]
        return self._stack([*layers, nn.Flatten()])

    def make_map_encoder(self, n_features: int, n_maps: int) -> nn.Module:
        """Build the layers from the features to feature maps, a convolution more and none linear.

        Parameters
        ----------
        n_features, n_maps : int
            Width of the input, which is the product of `shape`, and number of the maps.

        Returns
        -------
        torch.nn.Module
            Takes flat rows of shape (n, n_features), returns maps: rows, maps, then their axes.
        """
        *steps, last = self._steps(n_features, n_maps)
        return self._stack([*self._convolutions(steps), self._convolve(last)])

    def make_map_decoder(
        self, n_features: int, n_maps: int, kernel_size: int | None = None
    ) -> nn.Module:
        """Build one linear layer from feature maps to the features, a transposed convolution.

        Parameters
        ----------
        n_features, n_maps : int
            Width of the output, which is the product of `shape`, and number of the maps.
        kernel_size : int, optional
            Length of the sides of what an entry of a map adds to the features; by default
            of what the encoder sees of them for it.

        Returns
        -------
        torch.nn.Module
            Takes such maps, returns flat rows.

        Raises
        ------
        ValueError
            If some features would lie outside of what the maps reach.
        """
        steps = self._steps(n_features, n_maps)
        seen, stride, paddings = _field(steps, int(self.kernel_size), int(self.stride))
        size = seen if kernel_size is None else int(kernel_size)
        ends = [
            _ends(n_out, n_in, size, stride, before + (size - seen) // 2)
            for n_in, n_out, before in zip(
                steps[0].size_in, steps[-1].size_out, paddings, strict=True
            )
        ]
        if min(map(min, ends)) < 0:
            raise ValueError(
                f"A decoder with kernel_size={size} does not reach all of a sample from the maps "
                f"of {type(self).__name__}, whose entries see {seen}; leave decoder_kernel_size at "
                "None, or raise it."
            )
        padding = tuple(map(min, ends))
        transposed = self._transposed(
            *(n_maps, steps[0].n_in, size, stride),
            padding=padding,
            device="cpu",
            dtype=torch.float32,
        )
        starts = [before - both for (before, _), both in zip(ends, padding, strict=True)]
        crop = Crop(starts, steps[0].size_in)
        return nn.Sequential(_initialised(transposed), crop, nn.Flatten())

    def map_shape(self, n_features: int, n_maps: int) -> tuple[int, ...]:
        """Return the shape of a map of `make_map_encoder`, without the number of maps."""
        return self._steps(n_features, n_maps)[-1].size_out

    def _settings(self) -> dict[str, Any]:
        return {
            "kernel_size": int(self.kernel_size),
            "stride": int(self.stride),
            "device": "cpu",
            "dtype": torch.float32,
        }

    def _convolutions(self, steps: Sequence[_Step]) -> list[nn.Module]:
        layers: list[nn.Module] = [nn.Unflatten(1, tuple(map(int, self.shape)))]
        for step in steps:
            layers += [self._convolve(step), *self._after(step.n_out, step.size_out)]
        return layers

    def _convolve(self, step: _Step) -> nn.Module:
        convolution = self._convolution(
            step.n_in, step.n_out, padding=step.padding, **self._settings()
        )
        return _initialised(convolution)

    def _after(self, n_channels: int, size: tuple[int, ...]) -> list[nn.Module]:
        layers: list[nn.Module] = []
        if self.batch_norm:
            layers.append(BatchNorm(n_channels, dtype=torch.float32))
        layers.append(ACTIVATIONS[self.activation]())
        if self.dropout > 0:
            layers.append(Dropout(self.dropout, (n_channels, *size)))
        return layers

    def _stack(self, layers: list[nn.Module]) -> nn.Module:
        takes_more = self.dropout > 0 or self.batch_norm
        return Stack(*layers) if takes_more else nn.Sequential(*layers)

    def _steps(self, n_features: int, *n_maps: int) -> list[_Step]:
        """Return the sizes from convolution to convolution, which the decoder goes back."""
        self._check(n_features, needs_channels=not n_maps)
        steps = []
        n_in, *sizes = map(int, self.shape)
        for n_out in map(int, (*self.channels, *n_maps)):
            along = [_along(size, int(self.kernel_size), int(self.stride)) for size in sizes]
            size_out, padding, left_over = zip(*along, strict=True)
            steps.append(_Step(n_in, n_out, tuple(sizes), size_out, padding, left_over))
            n_in, sizes = n_out, list(size_out)
        return steps

    def _check(self, n_features: int, needs_channels: bool) -> None:
        self._validate_params()
        name = type(self).__name__
        axes = ("channels", *self._axes)
        if len(self.shape) != len(axes) or not all(map(is_positive_int, self.shape)):
            raise ValueError(
                f"The shape of {name} must be ({', '.join(axes)}), {len(axes)} positive integers, "
                f"got {tuple(self.shape)!r}."
            )
        too_few = needs_channels and not self.channels
        if too_few or not all(map(is_positive_int, self.channels)):
            raise ValueError(
                f"The channels of {name} must be one or more positive integers, one for each "
                f"layer, got {tuple(self.channels)!r}."
            )
        shape = tuple(map(int, self.shape))
        if math.prod(shape) != n_features:
            raise ValueError(
                f"{name} with shape={shape} takes samples of {math.prod(shape)} features, but X "
                f"has {n_features}; set shape to the ({', '.join(axes)}) of one sample of X, whose "
                f"product is {n_features}."
            )
        if self.kernel_size > min(shape[1:]):
            raise ValueError(
                f"kernel_size={self.kernel_size} of {name} is larger than a sample, whose "
                f"{' x '.join(self._axes)} is {' x '.join(map(str, shape[1:]))}; set kernel_size "
                f"to at most {min(shape[1:])}."
            )
        if self.stride > self.kernel_size:
            raise ValueError(
                f"stride={self.stride} of {name} is larger than kernel_size={self.kernel_size}, "
                "so that entries between would never be seen; lower stride or raise kernel_size."
            )


class Conv1d(_Convolutional):
    """Convolutions along a signal; the decoder mirrors them with transposed ones.

    The rows of `X` stay flat, ``n_channels * length`` features each, or `X` is an array
    of shape (n_samples, n_channels, length).

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample: (n_channels, length).
    channels : tuple of int, default=(16, 32)
        Number of channels after each convolution of the encoder, from the signal to the
        code. A linear layer without activation leads from the last ones to the code.
    kernel_size : int, default=3
        Length of the window that a convolution sees.
    stride : int, default=2
        Step between windows: each convolution divides the length by it. It is at most
        `kernel_size`, so that every entry is seen.
    activation : str, default="relu"
        Activation after each convolution: "identity", "relu", "leaky_relu", "elu",
        "gelu", "silu", "softplus", "sigmoid" or "tanh". The output of the decoder has
        none.
    dropout : float, default=0.0
        Fraction of hidden units that is set to 0 at random while training.
    batch_norm : bool, default=False
        Whether to normalise each hidden channel by the statistics of the batch, in
        which rows count by their weight, while training, and by their running mean at
        inference.

    See Also
    --------
    Conv2d : The same for images.

    Notes
    -----
    The signal is padded with ``kernel_size // 2`` zeros at both ends, and with more where
    the last entries would otherwise fall between two steps.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import Autoencoder
    >>> from skae.layers import Conv1d
    >>> phase = np.random.default_rng(0).uniform(0, 6, size=(100, 1, 1))
    >>> X = np.sin(phase + np.linspace(0, 9, 35))
    >>> X.shape
    (100, 1, 35)
    >>> layers = Conv1d((1, 35), channels=(4, 8), kernel_size=5)
    >>> autoencoder = Autoencoder(2, hidden_layers=layers, max_iter=20, tol=0.1).fit(X)
    >>> autoencoder.transform(X).shape
    (100, 2)
    >>> autoencoder.reconstruct(X).shape
    (100, 1, 35)
    """

    _axes = ("length",)
    _convolution = nn.Conv1d
    _transposed = nn.ConvTranspose1d


class Conv2d(_Convolutional):
    """Convolutions over an image; the decoder mirrors them with transposed ones.

    The rows of `X` stay flat, ``n_channels * height * width`` features each, or `X` is an
    array of shape (n_samples, n_channels, height, width); for images of one channel also
    (n_samples, height, width).

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample: (n_channels, height, width).
    channels : tuple of int, default=(16, 32)
        Number of channels after each convolution of the encoder, from the image to the
        code. A linear layer without activation leads from the last ones to the code.
    kernel_size : int, default=3
        Height and width of the window that a convolution sees.
    stride : int, default=2
        Step between windows: each convolution divides height and width by it. It is at
        most `kernel_size`, so that every pixel is seen.
    activation : str, default="relu"
        Activation after each convolution: "identity", "relu", "leaky_relu", "elu",
        "gelu", "silu", "softplus", "sigmoid" or "tanh". The output of the decoder has
        none.
    dropout : float, default=0.0
        Fraction of hidden units that is set to 0 at random while training.
    batch_norm : bool, default=False
        Whether to normalise each hidden channel by the statistics of the batch, in
        which rows count by their weight, while training, and by their running mean at
        inference.

    See Also
    --------
    Conv1d : The same for signals.

    Notes
    -----
    Images are padded with ``kernel_size // 2`` zeros on all sides, and with more where the
    last pixels would otherwise fall between two steps.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import Autoencoder
    >>> from skae.layers import Conv2d
    >>> X = load_digits().images / 16
    >>> X.shape
    (1797, 8, 8)
    >>> layers = Conv2d((1, 8, 8), channels=(8, 16))
    >>> autoencoder = Autoencoder(16, hidden_layers=layers, max_iter=5, tol=0.1).fit(X)
    >>> autoencoder.transform(X).shape
    (1797, 16)
    >>> autoencoder.reconstruct(X).shape
    (1797, 8, 8)
    """

    _axes = ("height", "width")
    _convolution = nn.Conv2d
    _transposed = nn.ConvTranspose2d


def _along(size: int, kernel_size: int, stride: int) -> tuple[int, int, int]:
    """Return the size after a convolution, the padding before it and what it leaves over.

    What is left over at the far end lies in the padding, so that no entry goes unseen.
    """
    padding = kernel_size // 2
    while (size + 2 * padding - kernel_size) % stride > padding:
        padding += 1
    steps, left_over = divmod(size + 2 * padding - kernel_size, stride)
    return steps + 1, padding, left_over


def _field(
    steps: Sequence[_Step], kernel_size: int, stride: int
) -> tuple[int, int, tuple[int, ...]]:
    """Return how much of a sample an entry behind all steps sees, in what steps, and from where.

    The last is by how much the first entry sees beyond the start of each axis.
    """
    seen, jump, beyond = 1, 1, [0] * len(steps[0].size_in)
    for step in steps:
        seen += (kernel_size - 1) * jump
        beyond = [b + jump * padding for b, padding in zip(beyond, step.padding, strict=True)]
        jump *= stride
    return seen, jump, tuple(beyond)


def _ends(n_out: int, n_in: int, size: int, stride: int, before: int) -> tuple[int, int]:
    """Return by how much pieces of a size, one each `stride`, go beyond an axis at its ends."""
    return before, (n_out - 1) * stride + size - before - n_in


def _initialised(layer: Any) -> nn.Module:
    """Give a convolution Glorot's weights and no bias yet (Glorot and Bengio 2010)."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
