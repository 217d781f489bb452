"""What stands between features and code: the architectures.

An architecture is a parameter object with two methods, `make_encoder` and
`make_decoder`, that build ``torch.nn`` modules. Any object with these two methods can
stand for `hidden_layers`. A module whose training consumes random numbers (dropout
masks, say) draws them in a method ``sample_noise(x, generator)`` and takes the result as
the second argument of ``forward``; no module may draw from torch's global generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

__all__ = ["Dense"]

#: Activations by name.
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


def sample_noise(layers: nn.Module, x: Tensor, generator: torch.Generator) -> Any:
    """Draw what one training pass of `layers` over the batch `x` consumes, or None."""
    sampler: Any = getattr(layers, "sample_noise", None)
    return None if sampler is None or not layers.training else sampler(x, generator)


def run(layers: nn.Module, x: Tensor, noise: Any = None) -> Tensor:
    """Pass `x` through `layers`, with the noise that was drawn for it, if any."""
    return layers(x) if noise is None else layers(x, noise)


def make_layers(hidden_layers: Any) -> Any:
    """Return the architecture that `hidden_layers` stands for: a tuple means `Dense`."""
    if isinstance(hidden_layers, tuple | list):
        return Dense(hidden_layers)
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
        Whether to normalise each hidden layer by the statistics of the batch while
        training, and by their running mean when reading.
    tied_weights : bool, default=False
        Whether the decoder uses the transposed weights of the encoder, with biases of
        its own.

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
    }

    def __init__(
        self,
        widths: Sequence[int] = (128,),
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        tied_weights: bool = False,
    ):
        self.widths = widths
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.tied_weights = tied_weights

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
            layers += [make_linear(n_in, n_out), *self._after_linear(n_out)]
        width = self.widths[-1] if self.widths else n_features
        return self._stack([*layers, make_linear(width, n_components)])

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
            linears = [TransposedLinear(layer) for layer in reversed(encoders)]
        else:
            widths = [n_components, *reversed(self.widths), n_features]
            linears = [make_linear(n_in, n_out) for n_in, n_out in _pairs(widths)]
        layers = [linears[0]]
        for width, linear in zip(reversed(self.widths), linears[1:], strict=True):
            layers += [*self._after_linear(width), linear]
        return self._stack(layers)

    def _after_linear(self, width: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        if self.batch_norm:
            layers.append(BatchNorm(width, dtype=torch.float32))
        layers.append(ACTIVATIONS[self.activation]())
        if self.dropout > 0:
            layers.append(Dropout(self.dropout, (width,)))
        return layers

    def _stack(self, layers: list[nn.Module]) -> nn.Module:
        return DropoutStack(*layers) if self.dropout > 0 else nn.Sequential(*layers)

    def _check(self) -> None:
        self._validate_params()
        if not all(
            isinstance(w, Integral) and not isinstance(w, bool) and w > 0 for w in self.widths
        ):
            raise ValueError(
                "The widths of hidden_layers must be positive integers, "
                f"got {tuple(self.widths)!r}."
            )


class DropoutStack(nn.Sequential):
    """Layers in a row, some of them dropout, whose masks are drawn beforehand."""

    def sample_noise(self, x: Tensor, generator: torch.Generator) -> list[Tensor]:
        """Draw one tensor of uniform numbers per dropout layer."""
        return [
            torch.rand(len(x), *layer.shape, generator=generator, device=x.device, dtype=x.dtype)
            for layer in self
            if isinstance(layer, Dropout)
        ]

    def forward(self, x: Tensor, noise: Sequence[Tensor] = ()) -> Tensor:
        remaining = iter(noise)
        for layer in self:
            x = layer(x, next(remaining, None)) if isinstance(layer, Dropout) else layer(x)
        return x


class Dropout(nn.Module):
    """Dropout of given uniform numbers: a pure function (Srivastava et al. 2014)."""

    rate: Tensor

    def __init__(self, rate: float, shape: tuple[int, ...]):
        super().__init__()
        self.shape = shape
        self.register_buffer("rate", torch.tensor(rate, dtype=torch.float32), persistent=False)

    def forward(self, x: Tensor, uniform: Tensor | None = None) -> Tensor:
        if uniform is None:
            return x
        return x * (uniform >= self.rate) / (1 - self.rate)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that takes a batch of one row by its running statistics."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and len(input) == 1:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


class TransposedLinear(nn.Module):
    """A linear layer with the transposed weights of another and a bias of its own."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.weight = linear.weight
        self.bias = nn.Parameter(torch.zeros(linear.in_features, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.t(), self.bias)


def make_linear(n_in: int, n_out: int) -> nn.Linear:
    """Build a linear layer with Glorot's weights and no bias yet (Glorot and Bengio 2010)."""
    linear = nn.Linear(n_in, n_out, device="cpu", dtype=torch.float32)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def _pairs(widths: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(widths))
