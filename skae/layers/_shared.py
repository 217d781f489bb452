"""What architectures are made of."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._random import Generator

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


def sample_noise(layers: nn.Module, x: Tensor, generator: Generator) -> Any:
    """Draw what one training pass of `layers` over the batch `x` consumes, or None."""
    sampler: Any = getattr(layers, "sample_noise", None)
    return None if sampler is None or not layers.training else sampler(x, generator)


def run(layers: nn.Module, x: Tensor, noise: Any = None) -> Tensor:
    """Pass `x` through `layers`, with the noise that was drawn for it, if any."""
    return layers(x) if noise is None else layers(x, noise)


class DropoutStack(nn.Sequential):
    """Layers in a row, some of them dropout, whose masks are drawn beforehand."""

    def sample_noise(self, x: Tensor, generator: Generator) -> list[Tensor]:
        """Draw one tensor of uniform numbers per dropout layer."""
        return [
            generator.uniform((len(x), *layer.shape), x.dtype)
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
    """Batch normalisation that takes a batch of one row by its running statistics.

    The channels are axis 1; any axes after it count as more values of a channel.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and len(input) == 1:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)

    def _check_input_dim(self, input: Tensor) -> None:
        """Take signals and images too."""


class TransposedLinear(nn.Module):
    """A linear layer with the transposed weights of another and a bias of its own."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.weight = linear.weight
        self.bias = nn.Parameter(torch.zeros(linear.in_features, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.t(), self.bias)


class NonNegative(nn.Module):
    """A layer whose weights are the absolute values of its parameter `root`.

    The penalty of weight decay is the same for both, and the gradient never vanishes.
    """

    root: nn.Parameter

    @property
    def weight(self) -> Tensor:
        return self.root.abs()


class NonNegativeLinear(NonNegative, nn.Linear):  # type: ignore[override]
    """A linear layer without negative weights; the bias is free.

    The weights start with a mean of one over the number of inputs, so that what comes
    out is as large as what goes in, and most of them near 0: weights of one size would
    make all units nearly the same mean of the inputs, and learning slow.
    """

    def __init__(self, n_in: int, n_out: int):
        nn.Module.__init__(self)
        self.in_features, self.out_features = n_in, n_out
        self.root = nn.Parameter(torch.empty(n_out, n_in, device="cpu", dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(n_out, device="cpu", dtype=torch.float32))
        with torch.no_grad():  # the mean of the power is 1/8
            self.root.uniform_().pow_(7).mul_(8 / n_in)


class NonNegativeTransposedLinear(NonNegative, TransposedLinear):  # type: ignore[override]
    """A linear layer with the transposed weights of a non-negative one."""

    def __init__(self, linear: NonNegativeLinear):
        nn.Module.__init__(self)
        self.root = linear.root
        self.bias = nn.Parameter(torch.zeros(linear.in_features, dtype=torch.float32))


def make_linear(n_in: int, n_out: int) -> nn.Linear:
    """Build a linear layer with Glorot's weights and no bias yet (Glorot and Bengio 2010)."""
    linear = nn.Linear(n_in, n_out, device="cpu", dtype=torch.float32)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def is_positive_int(value: Any) -> bool:
    """Whether `value` is a number of things: an integer, not a bool, above 0."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0
