"""The maths of the restricted Boltzmann machine with normal visible units."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .._random import Generator
from .._training import Batch, Step
from ._module import RBMModule
from ._units import RectifiedUnits

# Of the largest variance of a feature, what a constant one has; it starts with variance 1.
_SMALLEST_VARIANCE = 1e-6
# Part of the variance of a feature that is noise at least: without such a floor the likelihood
# of a feature that the hidden units determine exactly is unbounded.
_LEAST_NOISE = 0.01
# Largest change of the log of a variance in one step.
_LARGEST_CHANGE = 0.01
# Largest spectral norm of the weights of rectified hidden units, for features of variance 1
# given these; see `_keep_proper`.
_LARGEST_NORM = 0.99
# Largest learning rate of such units, times the mean squared length of the rows.
_LARGEST_STEP = 0.1
# Deviations of a normal distribution beyond which nothing is left of it.
_DEVIATIONS = 8
# Points of a grid beyond which its step grows instead.
_MOST_POINTS = 2000


class GaussianRBMModule(RBMModule):
    """A restricted Boltzmann machine with normal visible units (Cho, Ilin and Raiko 2011).

    Its energy is ``E(v, h) = sum (v - b)^2 / (2 s^2) - c.h - h.W.(v / s^2)`` with the
    variances s^2, of which the logarithm is learned. The changes of the weights and of the
    visible biases are those of `RBMModule` times the variances: steps are then as large as
    the features are, whatever the variances have become.

    Parameters
    ----------
    variance : float or "learned"
        Variance of the visible units given the hidden ones.
    **parameters : dict
        Those of `RBMModule`.
    """

    lowest_log_variance: Tensor
    direction: Tensor

    draw_visible_noise = staticmethod(Generator.normal)

    def __init__(self, n_features: int, *arguments: Any, variance: float | str, **parameters: Any):
        super().__init__(n_features, *arguments, **parameters)
        self.learns_variance = variance == "learned"
        start = 0.0 if self.learns_variance else math.log(float(variance))
        self.log_variance = nn.Parameter(torch.full((n_features,), start), requires_grad=False)
        self.register_buffer("lowest_log_variance", torch.zeros(n_features))
        self.register_buffer("direction", torch.full((n_features,), n_features**-0.5))

    def _start(self, variance: Tensor) -> None:
        self.visible_bias.copy_(self.visible_mean)
        if self.learns_variance:
            constant = variance <= variance.max() * _SMALLEST_VARIANCE
            self.log_variance.copy_(variance.masked_fill(constant, 1.0).log())
            self.lowest_log_variance.copy_(self.log_variance + math.log(_LEAST_NOISE))

    def base_bias(self) -> Tensor:
        return self.visible_mean

    def scaled(self, v: Tensor) -> Tensor:
        return v * torch.exp(-self.log_variance)

    def mean_visible(self, activation: Tensor) -> Tensor:
        return activation

    def sample_visible(
        self, activation: Tensor, noise: Tensor, out: Tensor | None = None
    ) -> Tensor:
        return torch.add(activation, torch.exp(self.log_variance / 2) * noise, out=out)

    def visible_energy(self, v: Tensor, bias: Tensor) -> Tensor:
        return 0.5 * ((v - bias).square() * torch.exp(-self.log_variance)).sum(-1)

    def mean_visible_energy(self, v: Tensor, share: Tensor, mean: Tensor) -> Tensor:
        return torch.dot(share, self.visible_energy(v, self.visible_bias))

    def log_visible_states(self, activation: Tensor, bias: Tensor) -> Tensor:
        gain = (activation.square() - bias.square()) * torch.exp(-self.log_variance)
        return 0.5 * (gain + self.log_variance + math.log(2 * math.pi)).sum(-1)

    def _limits(self) -> tuple[Tensor, Tensor]:
        """Return the lowest and the highest mean that the hidden units can give each feature."""
        most = self.hidden.most(self.hidden_bias, self.weight)
        ends = self.weight.clamp(max=0), self.weight.clamp(min=0)
        lowest, highest = (self.visible_bias + (most[:, None] * end).sum(0) for end in ends)
        return lowest, highest

    def _grid(self) -> tuple[Tensor, Tensor]:
        """Return where the density of each feature begins, and the step of a grid over it."""
        lowest, highest = self._limits()
        deviation = torch.exp(self.log_variance / 2)
        begin, end = lowest - _DEVIATIONS * deviation, highest + _DEVIATIONS * deviation
        return begin, torch.maximum(deviation, (end - begin) / _MOST_POINTS)

    def numbers_per_conditional(self) -> int:
        lowest, highest = self._limits()
        begin, step = self._grid()
        points = (lowest + highest - 2 * begin) / step
        return math.ceil(float(points.nan_to_num(nan=0.0, posinf=0.0).max())) + 1

    def log_conditionals(self, v: Tensor, activation: Tensor, features: Tensor) -> Tensor:
        # The density of v_j given the others is a mixture of normal distributions of one width.
        # The trapezoidal rule over a grid of that width gives its integral to nine digits.
        begin, step = (tensor[features] for tensor in self._grid())
        points = torch.arange(self.numbers_per_conditional(), device=v.device)
        grid = begin[..., None] + points * step[..., None]
        precision, bias = torch.exp(-self.log_variance[features]), self.visible_bias[features]
        weight = (self.weight.T[features] * precision[..., None])[..., None, :]
        shift = (grid - v[..., None])[..., None]
        states = self.hidden.log_states(activation[:, :, None] + shift * weight).sum(-1)
        exponents = states - 0.5 * (grid - bias[..., None]).square() * precision[..., None]
        at_v = self.hidden.log_states(activation).sum(-1) - 0.5 * (v - bias).square() * precision
        return at_v - torch.logsumexp(exponents, -1) - step.log()

    @torch.no_grad()
    def training_step(self, batch: Batch, noise: Any, step: Step) -> dict[str, Tensor]:
        """Follow the gradient; rectified hidden units are then kept within their bound."""
        losses = super().training_step(batch, noise, step)
        if self.hidden is RectifiedUnits:
            self._keep_proper()
        return losses

    def _bounded_rate(self, rate: float, v: Tensor, h: Tensor) -> float:
        """Bound the step by the squared lengths of the rows, for hidden units without an upper end.

        As in normalised least mean squares: a step changes the input of a unit by the rate
        times such a length, times an error that itself grows with the input.
        """
        if self.hidden is not RectifiedUnits:
            return rate
        precision = torch.exp(-self.log_variance)
        squared_v = torch.mv((v - self.visible_bias).square(), precision).mean()
        squared_h = h.square().sum(1).mean()
        largest = _LARGEST_STEP * (1 - self.momentum) / max(1.0, float(squared_v), float(squared_h))
        return min(rate, largest)

    def _keep_proper(self) -> None:
        """Scale the weights down to where the machine still has a density.

        With ``A = W / s`` and ``u = v / s`` the log-density of rectified hidden units grows as
        ``(|max(A u, 0)|^2 - |u|^2) / 2`` far from 0: it has a finite integral, and the Gibbs
        chains stay where they are, if the spectral norm of A is less than 1. A step of power
        iteration after each step of learning follows that norm (as in Miyato et al. 2018).
        """
        precision = torch.exp(-self.log_variance / 2)
        product = torch.mv(self.weight, precision * self.direction)
        product = precision * torch.mv(self.weight.T, product)
        squared_norm = product.norm()
        if float(squared_norm) > 0:
            self.direction.copy_(product / squared_norm)
            self.weight.mul_((_LARGEST_NORM * squared_norm.rsqrt()).clamp(max=1))

    def _other_changes(
        self, v: Tensor, h: Tensor, share: Tensor, rate: float
    ) -> list[tuple[Tensor, Tensor]]:
        if not self.learns_variance:
            return []
        energy = 0.5 * (v - self.visible_bias).square() - v * (
            self.visible_activation(h) - self.visible_bias
        )
        change = rate * (share @ energy) * torch.exp(-self.log_variance)
        change = change.clamp(-_LARGEST_CHANGE, _LARGEST_CHANGE)
        changed = torch.maximum(self.log_variance + change, self.lowest_log_variance)
        return [(self.log_variance, changed)]
