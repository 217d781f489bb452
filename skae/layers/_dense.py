"""Fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from numbers import Real
from typing import Any, ClassVar

import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from ._shared import (
    ACTIVATIONS,
    BatchNorm,
    Dropout,
    NonNegativeLinear,
    NonNegativeTransposedLinear,
    Stack,
    TransposedLinear,
    is_positive_int,
    make_linear,
)


def make_layers(hidden_layers: Any) -> Any:
    """Return the architecture that `hidden_layers` stands for: a tuple means `Dense`."""
    if isinstance(hidden_layers, tuple | list):
        return Dense(hidden_layers)
    if isinstance(hidden_layers, type):
        raise ValueError(
            f"hidden_layers is the class {hidden_layers.__name__}; give an instance of it: "
            f"{hidden_layers.__name__}(...)."
        )
    return hidden_layers


class Dense(BaseEstimator):
    """Fully connected layers; the decoder mirrors the encoder.

    Parameters
    ----------
    widths : tuple of int, default=(128,)
        Width of each hidden layer of the encoder, from the features to the code. An
        empty tuple leaves one linear layer.
    activation : str, default="relu"
        Activation of the hidden layers: "identity", "relu", "leaky_relu", "elu", "gelu",
        "silu", "softplus", "sigmoid" or "tanh". The code has its own,
        `code_activation`, and the output of the decoder has none.
    dropout : float, default=0.0
        Fraction of hidden units that is set to 0 at random while training.
    batch_norm : bool, default=False
        Whether to normalise each hidden layer by the statistics of the batch, in
        which rows count by their weight, while training, and by their running mean at
        inference.
    tied_weights : bool, default=False
        Whether the decoder uses the transposed weights of the encoder, with biases of
        its own.
    non_negative : bool, default=False
        Whether the weights of all linear layers, of the encoder and of the decoder, are
        non-negative: the absolute values of what is learned. Biases are free. With
        ``code_activation="relu"`` the rows are then sums of parts, each with an amount,
        as in non-negative matrix factorisation.

    Examples
    --------
    >>> from skae import Autoencoder
    >>> from skae.layers import Dense
    >>> autoencoder = Autoencoder(8, hidden_layers=Dense((64, 32), dropout=0.2))
    >>> autoencoder.get_params()["hidden_layers__dropout"]
    0.2
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "widths": [tuple, list],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "batch_norm": ["boolean"],
        "tied_weights": ["boolean"],
        "non_negative": ["boolean"],
    }

    def __init__(
        self,
        widths: Sequence[int] = (128,),
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        tied_weights: bool = False,
        non_negative: bool = False,
    ):
        self.widths = widths
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.tied_weights = tied_weights
        self.non_negative = non_negative

    def make_encoder(self, n_features: int, n_components: int) -> nn.Module:
        """Build the layers from the features to the code.

        Parameters
        ----------
        n_features, n_components : int
            Width of the input and of the code.

        Returns
        -------
        torch.nn.Module
            Takes a batch of shape (n, n_features), returns shape (n, n_components).
        """
        self._check()
        layers: list[nn.Module] = []
        for n_in, n_out in _pairs([n_features, *self.widths]):
            layers += [self._linear(n_in, n_out), *self._after_linear(n_out)]
        width = self.widths[-1] if self.widths else n_features
        return self._stack([*layers, self._linear(width, n_components)])

    def make_decoder(self, n_features: int, n_components: int, encoder: nn.Module) -> nn.Module:
        """Build the layers from the code to the features.

        Parameters
        ----------
        n_features, n_components : int
            Width of the output and of the code.
        encoder : torch.nn.Module
            The encoder that this decoder mirrors, whose weights it shares if they are
            tied.

        Returns
        -------
        torch.nn.Module
            Takes a batch of shape (n, n_components), returns shape (n, n_features).
        """
        linears: list[nn.Module]
        if self.tied_weights:
            encoders = [layer for layer in encoder.modules() if isinstance(layer, nn.Linear)]
            linears = [_transposed(layer) for layer in reversed(encoders)]
        else:
            widths = [n_components, *reversed(self.widths), n_features]
            linears = [self._linear(n_in, n_out) for n_in, n_out in _pairs(widths)]
        layers = [linears[0]]
        for width, linear in zip(reversed(self.widths), linears[1:], strict=True):
            layers += [*self._after_linear(width), linear]
        return self._stack(layers)

    def _linear(self, n_in: int, n_out: int) -> nn.Linear:
        return NonNegativeLinear(n_in, n_out) if self.non_negative else make_linear(n_in, n_out)

    def _after_linear(self, width: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        if self.batch_norm:
            layers.append(BatchNorm(width, dtype=torch.float32))
        layers.append(ACTIVATIONS[self.activation]())
        if self.dropout > 0:
            layers.append(Dropout(self.dropout, (width,)))
        return layers

    def _stack(self, layers: list[nn.Module]) -> nn.Module:
        takes_more = self.dropout > 0 or self.batch_norm
        return Stack(*layers) if takes_more else nn.Sequential(*layers)

    def _check(self) -> None:
        self._validate_params()
        if not all(map(is_positive_int, self.widths)):
            raise ValueError(
                "The widths of hidden_layers must be positive integers, "
                f"got {tuple(self.widths)!r}."
            )


def _transposed(linear: nn.Linear) -> TransposedLinear:
    if isinstance(linear, NonNegativeLinear):
        return NonNegativeTransposedLinear(linear)
    return TransposedLinear(linear)


def _pairs(widths: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(widths))
