"""Hidden units given their input: mean, samples, and the sum over the states."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .._random import Generator

# -Li2(1 - e^u) as a power series in u: Bernoulli numbers over factorials.
_SERIES = (1.0, 1 / 4, 1 / 36, 0.0, -1 / 3600, 0.0, 1 / 211680, 0.0, -1 / 10886400)


class BinaryUnits:
    """Units that are 0 or 1."""

    highest = 1.0
    draw_noise = staticmethod(Generator.uniform)

    @staticmethod
    def mean(activation: Tensor) -> Tensor:
        """Return the probability of 1."""
        return torch.sigmoid(activation)

    @staticmethod
    def sample(
        activation: Tensor, mean: Tensor, noise: Tensor, out: Tensor | None = None
    ) -> Tensor:
        """Return 1 where the uniform `noise` lies below the mean, else 0."""
        return less(noise, mean, out)

    @staticmethod
    def log_states(activation: Tensor) -> Tensor:
        """Return the log of the sum over both states of ``exp(state * activation)``."""
        return F.softplus(activation)

    @staticmethod
    def most(bias: Tensor, weight: Tensor) -> Tensor:
        """Return the largest state that each unit has with a probability that matters."""
        return torch.ones_like(bias)


class RectifiedUnits:
    """Noisy rectified linear units (Nair and Hinton 2010).

    Such a unit stands for infinitely many copies of a binary one with biases lower by 1/2, 3/2,
    5/2, ...; their sum has nearly the mean ``softplus(a)`` and the variance ``sigmoid(a)``.
    """

    highest = torch.inf
    draw_noise = staticmethod(Generator.normal)

    @staticmethod
    def mean(activation: Tensor) -> Tensor:
        """Return the mean of the sum of the copies."""
        return F.softplus(activation)

    @staticmethod
    def sample(
        activation: Tensor, mean: Tensor, noise: Tensor, out: Tensor | None = None
    ) -> Tensor:
        """Return the rectified activation with normal noise of the variance of the sum."""
        return torch.clamp(activation + torch.sigmoid(activation).sqrt() * noise, min=0, out=out)

    @staticmethod
    def log_states(activation: Tensor) -> Tensor:
        """Return the log of the sum over the states of the copies.

        It is the integral of the mean, ``-Li2(-exp(a))`` with the dilogarithm Li2, which for
        a > 0 is ``a**2 / 2 + pi**2 / 6 + Li2(-exp(-a))``.
        """
        u = F.softplus(-activation.abs())  # at most log(2), where the series converges fast
        power, integral = torch.ones_like(u), torch.zeros_like(u)
        for coefficient in _SERIES:
            power = power * u
            integral = integral + coefficient * power
        positive = activation.square() / 2 + torch.pi**2 / 6 - integral
        return torch.where(activation > 0, positive, integral)

    @staticmethod
    def most(bias: Tensor, weight: Tensor) -> Tensor:
        """Return the largest state that each unit has with a probability that matters."""
        return F.softplus(bias + 5 * weight.norm(dim=1)) + 5


def less(one: Tensor, other: Tensor, out: Tensor | None = None) -> Tensor:
    """Return 1 where `one` is less than `other`, else 0, in their dtype."""
    # `torch.vmap` knows no `out`.
    return torch.lt(one, other).to(one.dtype) if out is None else torch.lt(one, other, out=out)


UNITS: dict[str, type[BinaryUnits] | type[RectifiedUnits]] = {
    "binary": BinaryUnits,
    "relu": RectifiedUnits,
}
