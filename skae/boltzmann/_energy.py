"""The energy of a restricted Boltzmann machine, and what follows from it without sampling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from .._compute import chunk_rows
from .._random import Generator
from .._training import Trainable
from ._halves import to_hidden, to_visible
from ._units import UNITS, BinaryUnits, RectifiedUnits, less

# Of the largest tensor that is usual, what the conditionals fill: they are read several times.
_BLOCK_PART = 0.5


class EnergyModule(Trainable):
    """Parameters, energies and conditional distributions of units that are binary in X.

    The energy is ``E(v, h) = -b.v - c.h - h.W.v``. A subclass for other visible units
    overrides the methods under that heading.

    Parameters
    ----------
    n_features, n_components : int
        Numbers of visible and hidden units.
    hidden : {"binary", "relu"}
        Kind of the hidden units.
    """

    hidden: type[BinaryUnits] | type[RectifiedUnits]
    n_seen: Tensor
    visible_mean: Tensor

    def __init__(self, n_features: int, n_components: int, *, hidden: str):
        super().__init__()
        self.hidden = UNITS[hidden]
        self.weight = _constant(0.01 * torch.randn(n_components, n_features, dtype=torch.float32))
        self.hidden_bias = _constant(torch.zeros(n_components))
        self.visible_bias = _constant(torch.zeros(n_features))
        self.register_buffer("n_seen", torch.zeros(()))
        self.register_buffer("visible_mean", torch.zeros(n_features))

    def base_bias(self) -> Tensor:
        """Return the visible biases of the machine without hidden units that fits the data."""
        smoothed = (self.visible_mean * self.n_seen + 0.5) / (self.n_seen + 1)
        return torch.logit(smoothed, eps=1e-6)

    # -- visible units -------------------------------------------------------------------

    draw_visible_noise = staticmethod(Generator.uniform)

    def scaled(self, v: Tensor) -> Tensor:
        """Return the visible units as the hidden ones see them."""
        return v

    def mean_visible(self, activation: Tensor) -> Tensor:
        """Return the mean of the visible units for their bias plus input."""
        return torch.sigmoid(activation)

    def sample_visible(
        self, activation: Tensor, noise: Tensor, out: Tensor | None = None
    ) -> Tensor:
        """Draw the visible units, into `out` if that is given."""
        return less(noise, torch.sigmoid(activation), out)

    def visible_energy(self, v: Tensor, bias: Tensor) -> Tensor:
        """Return the energy of each row without hidden units."""
        return -(v * bias).sum(-1)

    def mean_visible_energy(self, v: Tensor, share: Tensor, mean: Tensor) -> Tensor:
        """Return the sum of the energies of rows without hidden units, each times its share.

        `mean` is that sum of the rows themselves.
        """
        return -torch.dot(self.visible_bias, mean)

    def log_visible_states(self, activation: Tensor, bias: Tensor) -> Tensor:
        """Return the log of the sum over the visible states, for each row of their input."""
        return softplus(activation).sum(-1)

    def log_conditionals(self, v: Tensor, activation: Tensor, features: Tensor) -> Tensor:
        """Return ``log p(v_j | all other v)``, shape (n, m).

        Parameters
        ----------
        v : Tensor of shape (n, m)
            The values v_j.
        activation : Tensor of shape (n, 1, n_components)
            Of the hidden units, for each row.
        features : Tensor of shape (m,) or (n, 1)
            Which features j these are, the same for all rows or one for each row.
        """
        flip = 1 - 2 * v
        flipped = activation + flip[..., None] * self.weight.T[features]
        gain = (
            self.hidden.log_states(flipped).sum(-1)
            - self.hidden.log_states(activation).sum(-1)
            + flip * self.visible_bias[features]
        )
        return logsigmoid(-gain)

    def numbers_per_conditional(self) -> int:
        """Return how many activations of each hidden unit a conditional needs."""
        return 1

    # -- energies ------------------------------------------------------------------------

    def hidden_activation(self, v: Tensor, beta: Any = None) -> Tensor:
        """Return the bias plus the input of the hidden units, at an inverse temperature."""
        activation = to_hidden(self.scaled(v), self.weight, self.hidden_bias)
        return activation if beta is None else beta * activation

    def visible_activation(self, h: Tensor, beta: Any = None) -> Tensor:
        """Return the bias plus the input of the visible units, at an inverse temperature."""
        bias: Tensor = self.visible_bias
        if beta is not None:
            bias, h = self.tempered_bias(beta), beta * h
        return to_visible(h, self.weight, bias)

    def tempered_bias(self, beta: Any) -> Tensor:
        """Return the visible biases on the way from the machine without hidden units.

        At the inverse temperature 0 the visible units are independent and fit the data, and
        the hidden ones are on as often as off; at 1 the machine is itself.
        """
        return torch.lerp(self.base_bias(), self.visible_bias, beta)

    def free_energy(self, v: Tensor) -> Tensor:
        """Return ``-log sum_h exp(-E(v, h))`` of each row."""
        states = self.hidden.log_states(self.hidden_activation(v)).sum(-1)
        return self.visible_energy(v, self.visible_bias) - states

    def encode(self, x: Tensor) -> Tensor:
        """Return the mean of the hidden units."""
        return self.hidden.mean(self.hidden_activation(x))

    def decode(self, z: Tensor) -> Tensor:
        """Return the mean of the visible units, given the hidden ones."""
        return self.mean_visible(self.visible_activation(z))

    def log_score(self, x: Tensor) -> Tensor:
        """Return the log pseudo-likelihood, the sum of all log conditionals."""
        activation = self.hidden_activation(x)[:, None]
        numbers = activation.numel() * self.numbers_per_conditional()
        in_block = chunk_rows(numbers, x.device, _BLOCK_PART)
        total = torch.zeros_like(x[:, 0])
        for features in torch.arange(x.shape[1], device=x.device).split(in_block):
            total += self.log_conditionals(x[:, features], activation, features).sum(1)
        return total

    def as_layers(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return weight and bias of the linear layers that encode, and that decode."""
        return (
            (self.scaled(self.weight).cpu(), self.hidden_bias.cpu()),
            (self.weight.T.cpu(), self.visible_bias.cpu()),
        )


def _constant(start: Tensor) -> nn.Parameter:
    """Return a parameter without a gradient, unless a caller sets `requires_grad`."""
    return nn.Parameter(start, requires_grad=False)
