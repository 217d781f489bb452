"""What architectures are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

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


def sample_noise(
    layers: nn.Module, x: Tensor, generator: Generator, weight: Tensor | None = None
) -> Any:
    """Return what `layers` take in training beside the batch `x` whose rows have this weight."""
    sampler: Any = getattr(layers, "sample_noise", None)
    if sampler is None or not layers.training:
        return None
    return sampler(x, generator, weight) if isinstance(layers, Stack) else sampler(x, generator)


def run(layers: nn.Module, x: Tensor, noise: Any = None) -> Tensor:
    """Pass `x` through `layers`, with the noise that was drawn for it, if any."""
    return layers(x) if noise is None else layers(x, noise)


class Stack(nn.Sequential):
    """Layers in a row, of which dropout and batch normalisation take more than a batch."""

    def sample_noise(
        self, x: Tensor, generator: Generator, weight: Tensor | None = None
    ) -> list[Tensor | None]:
        """Return uniform numbers for each dropout layer, and the weight of the rows for others."""
        return [
            generator.uniform((len(x), *layer.shape), x.dtype)
            if isinstance(layer, Dropout)
            else weight
            for layer in self
            if isinstance(layer, Dropout | BatchNorm)
        ]

    def forward(self, x: Tensor, noise: Sequence[Tensor | None] = ()) -> Tensor:
        remaining = iter(noise)
        for layer in self:
            takes_more = isinstance(layer, Dropout | BatchNorm)
            x = layer(x, next(remaining, None)) if takes_more else layer(x)
        return x


def keep_number(module: nn.Module, name: str, value: float) -> None:
    """Give a module a number of the objective: a buffer, so that searches may vary it.

    It belongs to the parameters of the estimator, not to what was learned, and is not saved.
    """
    module.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)


class Dropout(nn.Module):
    """Dropout of given uniform numbers: a pure function (Srivastava et al. 2014)."""

    rate: Tensor

    def __init__(self, rate: float, shape: tuple[int, ...]):
        super().__init__()
        self.shape = shape
        keep_number(self, "rate", rate)

    def forward(self, x: Tensor, uniform: Tensor | None = None) -> Tensor:
        if uniform is None:
            return x
        return x * (uniform >= self.rate) / (1 - self.rate)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that takes a batch of one row by its running statistics.

    The channels are axis 1; any axes after it count as more values of a channel. Rows count by
    their weight if they have one. The running variance is, unlike torch's, the mean of the
    variances of the batches as they are, since weights do not say how many rows there were.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, input: Tensor, weight: Tensor | None = None) -> Tensor:
        if not self.training or len(input) == 1:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        tracks = self.track_running_stats
        if tracks:
            self.num_batches_tracked += 1
        if weight is None and not tracks:
            return F.batch_norm(
                input, None, None, self.weight, self.bias, training=True, eps=self.eps
            )
        if weight is None:
            mean, variance = self.running_mean.clone(), self.running_var.clone()
            output = F.batch_norm(
                *(input, mean, variance, self.weight, self.bias),
                training=True,
                momentum=self.momentum,
                eps=self.eps,
            )
            # Torch has multiplied the variance of the batch by n / (n - 1).
            n_values = input.numel() / input.shape[1]
            before = (1 - self.momentum) * self.running_var
            with torch.no_grad():
                self.running_mean.copy_(mean)
                self.running_var.copy_(variance.lerp(before, 1 / n_values))
            return output
        axes = [0, *range(2, input.ndim)]
        like = [1, -1, *[1] * (input.ndim - 2)]
        share = (weight / weight.sum()).view(-1, *[1] * (input.ndim - 1))
        share = share / math.prod(input.shape[2:])
        mean = (share * input).sum(axes)
        centred = input - mean.view(like)
        variance = (share * centred.square()).sum(axes)
        if tracks:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance, self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale.view(like) + self.bias.view(like)

    def _check_input_dim(self, input: Tensor) -> None:
        """Take signals and images too."""


@contextmanager
def frozen_statistics(layers: nn.Module) -> Iterator[None]:
    """Leave the running statistics of normalisation as they are.

    For a pass beside that in which they follow the batch: they follow it once in each step.
    """
    norms = [layer for layer in layers.modules() if isinstance(layer, _NormBase)]
    before = [layer.track_running_stats for layer in norms]
    for layer in norms:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer, tracks in zip(norms, before, strict=True):
            layer.track_running_stats = tracks


class Crop(nn.Module):
    """Takes some entries in a row along each axis of signals or images."""

    def __init__(self, starts: Sequence[int], sizes: Sequence[int]):
        super().__init__()
        self.starts, self.sizes = tuple(starts), tuple(sizes)

    def forward(self, x: Tensor) -> Tensor:
        for axis, (start, size) in enumerate(zip(self.starts, self.sizes, strict=True), start=2):
            x = x.narrow(axis, start, size)
        return x


@contextmanager
def reading(*layers: nn.Module) -> Iterator[None]:
    """Have layers work as at inference: no statistics of the batch, nothing random."""
    before = [one.training for one in layers]
    for one in layers:
        one.eval()
    try:
        yield
    finally:
        for one, was_training in zip(layers, before, strict=True):
            one.train(was_training)


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
