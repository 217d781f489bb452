"""The maths of restricted Boltzmann machines: energies, Gibbs sampling, a step of learning."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from .._random import Generator
from .._training import Batch, Step, Trainable
from ._halves import Halves, add_in_halves
from ._units import UNITS, BinaryUnits, RectifiedUnits

# Rate of the running means over the steps of the hidden units, for their offset and sparsity.
_RUNNING_RATE = 0.01
# Numbers in the largest tensor of the conditionals: what stays in a processor's cache.
_BLOCK_NUMBERS = 2**18


class RBMModule(Trainable):
    """A restricted Boltzmann machine with binary visible units.

    Its energy is ``E(v, h) = -b.v - c.h - h.W.v``. A subclass for other visible units
    overrides the methods under that heading.

    Parameters
    ----------
    n_features, n_components : int
        Numbers of visible and hidden units.
    n_chains : int
        Number of persistent Markov chains (at each temperature).
    hidden : {"binary", "relu"}
        Kind of the hidden units.
    algorithm : {"pcd", "cd", "pt"}
        Whether the chains start where they ended, at the data, or where they ended with
        exchanges between temperatures.
    n_gibbs_steps, n_temperatures : int
        Steps of the chains for each update; temperatures of "pt".
    centered : bool
        Whether to learn by the gradient of the centred machine.
    momentum, weight_decay, sparsity_target, sparsity_cost : float
        See `BernoulliRBM`.
    """

    hidden: type[BinaryUnits] | type[RectifiedUnits]
    beta: Tensor
    chains: Tensor
    n_seen: Tensor
    visible_mean: Tensor
    hidden_offset: Tensor
    running_mean: Tensor
    weight_velocity: Tensor
    hidden_bias_velocity: Tensor
    visible_bias_velocity: Tensor

    def __init__(
        self,
        n_features: int,
        n_components: int,
        *,
        n_chains: int,
        hidden: str,
        algorithm: str,
        n_gibbs_steps: int,
        n_temperatures: int,
        centered: bool,
        momentum: float,
        weight_decay: float,
        sparsity_target: float,
        sparsity_cost: float,
    ):
        super().__init__()
        self.hidden = UNITS[hidden]
        self.n_chains = n_chains
        self.algorithm = algorithm
        self.n_gibbs_steps = n_gibbs_steps
        self.centered = centered
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.weight = _constant(0.01 * torch.randn(n_components, n_features, dtype=torch.float32))
        self.hidden_bias = _constant(torch.zeros(n_components))
        self.visible_bias = _constant(torch.zeros(n_features))
        n_temperatures = n_temperatures if algorithm == "pt" else 1
        beta = torch.linspace(1, 0, n_temperatures, dtype=torch.float32)
        self.register_buffer("beta", beta.repeat_interleave(n_chains)[:, None])
        self.register_buffer("chains", torch.zeros(n_temperatures * n_chains, n_components))
        self.register_buffer("n_seen", torch.zeros(()))
        self.register_buffer("visible_mean", torch.zeros(n_features))
        start = self.hidden.mean(torch.zeros(n_components))
        self.register_buffer("hidden_offset", start if centered else torch.zeros(n_components))
        self.register_buffer("running_mean", start.clone())
        for name, parameter in list(self.named_parameters()):
            velocity = torch.zeros(parameter.shape if momentum else 0)
            self.register_buffer(f"{name}_velocity", velocity)

    def _halves(self, n_rows: int) -> Halves | None:
        """Return the weights in halves where their products with so many rows pay."""
        weight = self.weight.detach()
        return Halves(weight) if Halves.pay(weight, n_rows) else None

    def observe(self, mean: Tensor, variance: Tensor, n_rows: float) -> None:
        """Take in the mean and variance of the rows that come next; the first set the start."""
        first = float(self.n_seen) == 0
        self.n_seen += n_rows
        self.visible_mean.lerp_(mean.to(self.visible_mean), n_rows / float(self.n_seen))
        if first:
            self._start(variance.to(self.visible_mean), n_rows)
            if self.centered:
                self.hidden_bias.copy_(-self.weight @ self.scaled(self.visible_mean))

    def base_bias(self) -> Tensor:
        """Return the visible biases of the machine without hidden units that fits the data."""
        smoothed = (self.visible_mean * self.n_seen + 0.5) / (self.n_seen + 1)
        return torch.logit(smoothed, eps=1e-6)

    # -- visible units -------------------------------------------------------------------

    draw_visible_noise = staticmethod(Generator.uniform)

    def _start(self, variance: Tensor, n_rows: float) -> None:
        """Set the biases by the first rows."""
        self.visible_bias.copy_(self.base_bias())

    def scaled(self, v: Tensor) -> Tensor:
        """Return the visible units as the hidden ones see them."""
        return v

    def mean_visible(self, activation: Tensor) -> Tensor:
        """Return the mean of the visible units for their bias plus input."""
        return torch.sigmoid(activation)

    def sample_visible(self, activation: Tensor, noise: Tensor) -> Tensor:
        """Draw the visible units."""
        mean = torch.sigmoid(activation)
        return torch.lt(noise, mean, out=mean)

    def visible_energy(self, v: Tensor, bias: Tensor) -> Tensor:
        """Return the energy of each row without hidden units."""
        return -(v * bias).sum(-1)

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
        """Return how many activations of each hidden unit a conditional looks at."""
        return 1

    # -- energies ------------------------------------------------------------------------

    def hidden_activation(self, v: Tensor, beta: Any = None) -> Tensor:
        """Return the bias plus the input of the hidden units, at an inverse temperature."""
        halves = self._halves(v.shape[0])
        if halves is None:
            activation = torch.addmm(self.hidden_bias, self.scaled(v), self.weight.T)
        else:
            activation = halves.to_hidden(self.scaled(v)).add_(self.hidden_bias)
        return activation if beta is None else beta * activation

    def visible_activation(self, h: Tensor, beta: Any = None) -> Tensor:
        """Return the bias plus the input of the visible units, at an inverse temperature."""
        bias: Tensor = self.visible_bias
        if beta is not None:
            bias, h = self.tempered_bias(beta), beta * h
        halves = self._halves(h.shape[0])
        if halves is None:
            return torch.addmm(bias, h, self.weight)
        return halves.to_visible(h).add_(bias)

    def tempered_bias(self, beta: Any) -> Tensor:
        """Return the visible biases on the way from the machine without hidden units.

        At the inverse temperature 0 the visible units are independent and fit the data, and
        the hidden ones are on as often as off; at 1 the machine is itself.
        """
        return torch.lerp(self.base_bias(), self.visible_bias, beta)

    def log_weight(self, v: Tensor, activation: Tensor, beta: Any) -> Tensor:
        """Return the log-probability of each row at an inverse temperature, up to log Z.

        `activation` is that of the hidden units at the inverse temperature 1.
        """
        states = self.hidden.log_states(beta * activation).sum(-1)
        return states - self.visible_energy(v, self.tempered_bias(beta))

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
        in_block = max(1, _BLOCK_NUMBERS // (activation.numel() * self.numbers_per_conditional()))
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

    # -- Gibbs sampling ------------------------------------------------------------------

    def draw_noise(self, n_rows: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw what one Gibbs step of `n_rows` chains consumes: for v, and for h."""
        n_components, n_features = self.weight.shape
        dtype = self.weight.dtype
        return (
            self.draw_visible_noise(generator, (n_rows, n_features), dtype),
            self.hidden.draw_noise(generator, (n_rows, n_components), dtype),
        )

    def sample_hidden(self, activation: Tensor, noise: Tensor) -> Tensor:
        """Draw the hidden units."""
        return self.hidden.sample(activation, self.hidden.mean(activation), noise)

    def gibbs_step(self, h: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw v given h, then h given v; return both."""
        visible_noise, hidden_noise = self.draw_noise(len(h), generator)
        v = self.sample_visible(self.visible_activation(h), visible_noise)
        return v, self.sample_hidden(self.hidden_activation(v), hidden_noise)

    # -- learning ------------------------------------------------------------------------

    def parameter_groups(self) -> Sequence[Mapping[str, Any]]:
        """No gradient: the step below changes the parameters in one pass over them."""
        return [{"params": []}]

    def sample_noise(self, batch: Batch, generator: Generator) -> Any:
        n_chains = (batch.x if self.algorithm == "cd" else self.chains).shape[0]
        steps = [self.draw_noise(n_chains, generator) for _ in range(self.n_gibbs_steps)]
        start = self.draw_noise(n_chains, generator)[1] if self.algorithm == "cd" else None
        uniforms = generator.uniform((n_chains,)) if self.algorithm == "pt" else None
        return start, steps, uniforms

    def n_threads(self, n_rows: int) -> int:
        return 1 if self._halves(n_rows) is None else 2

    def advance(self, x: Tensor, noise: Any) -> Tensor:
        """Return the visible units at the end of the chains that a batch starts or goes on."""
        start, steps, uniforms = noise
        h = self.chains
        if self.algorithm == "cd":
            h = self.sample_hidden(self.hidden_activation(x), start)
        beta = self.beta if self.algorithm == "pt" else None
        v = self.sample_visible(self.visible_activation(h, beta), steps[0][0])
        for (_, hidden_noise), (visible_noise, _) in itertools.pairwise(steps):
            h = self.sample_hidden(self.hidden_activation(v, beta), hidden_noise)
            v = self.sample_visible(self.visible_activation(h, beta), visible_noise)
        return self._exchange(v, uniforms) if self.algorithm == "pt" else v

    def _exchange(self, v: Tensor, uniforms: Tensor) -> Tensor:
        """Let chains at neighbouring temperatures change places, by Metropolis' rule."""
        activation = self.hidden_activation(v)
        chain_at = torch.arange(len(v), device=v.device)
        place = chain_at.clone().view(-1, self.n_chains)
        for first in (0, 1):  # neighbours in pairs that have no member in common
            end = first + (len(place) - first) // 2 * 2
            cold, warm = place[first:end:2].reshape(-1), place[first + 1 : end : 2].reshape(-1)
            one, other = chain_at[cold], chain_at[warm]
            swapped = [(other, cold), (one, warm)]
            gain = sum(
                self.log_weight(v[chain], activation[chain], self.beta[at]) for chain, at in swapped
            ) - sum(
                self.log_weight(v[chain], activation[chain], self.beta[at])
                for chain, at in [(one, cold), (other, warm)]
            )
            swap = uniforms[cold].log() < gain
            chain_at[cold] = torch.where(swap, other, one)
            chain_at[warm] = torch.where(swap, one, other)
        return v[chain_at]

    @torch.no_grad()
    def training_step(self, batch: Batch, noise: Any, step: Step) -> dict[str, Tensor]:
        """Climb the likelihood: its gradient is a mean over the data less one over the model.

        Written out, since autograd would pass over the weights more often. The rows of the
        batch and those of the chains go through the products together. The result is the
        squared length of the gradient of the visible biases.
        """
        x, weight = batch.x, batch.weight
        n_rows, last_noise = x.shape[0], noise[1][-1][1]
        v = torch.cat((x, self.advance(x, noise)))
        activation = self.hidden_activation(v)
        mean = self.hidden.mean(activation)
        if self.algorithm == "pcd":
            self.hidden.sample(activation[n_rows:], mean[n_rows:], last_noise, out=self.chains)
        elif self.algorithm == "pt":
            tempered = self.beta * activation[n_rows:]
            self.chains.copy_(self.sample_hidden(tempered, last_noise))
        n_model = n_rows if self.algorithm == "cd" else self.n_chains
        share = _signed_shares(n_rows, n_model, x.device)
        if weight is not None:
            share = torch.cat([weight / weight.sum(), share[n_rows:]])
        if self.algorithm == "pt":  # of all temperatures, the first is that of the model
            v, mean = v[: n_rows + n_model], mean[: n_rows + n_model]
        return {"loss": self._ascend(v, mean, share, n_rows, step)}

    def _ascend(self, v: Tensor, mean: Tensor, share: Tensor, n_rows: int, step: Step) -> Tensor:
        """Change the parameters by what the rows say, each with its signed share.

        A centred machine has ``v - m`` and ``h - l`` for v and h. In terms of the plain one
        its gradients are ``dW`` of the centred units, ``db - l.dW`` and ``dc - dW.m``
        (Melchior, Fischer and Wiskott 2016); without centring, m and l are 0. This writes
        over `v` and `mean`, since new memory costs more than what is done in it.
        """
        rate, running_rate = step.learning_rate * step.share, _RUNNING_RATE * step.share
        weight, offset = self.weight, self.hidden_offset
        data_mean = torch.mv(mean[:n_rows].T, share[:n_rows])
        h = mean
        if self.centered:
            v -= self.visible_mean
            h -= offset
        h *= share.unsqueeze(1)
        if self.sparsity_cost:
            self.running_mean.lerp_(data_mean, running_rate)
            push = self.sparsity_cost * (self.sparsity_target - self.running_mean)
            h[:n_rows] += torch.outer(share[:n_rows], push)
        if self.centered:
            visible = torch.mv(v.T, torch.addmv(share, h, offset, alpha=-1))
            centre = self.scaled(self.visible_mean)
            hidden = torch.mv(h.T, torch.addmv(share.new_ones(1), v, centre, alpha=-1))
            offset.lerp_(data_mean, running_rate)
        else:
            visible, hidden = torch.mv(v.T, share), h.sum(0)
        kept = 1 - rate * self.weight_decay
        if self.momentum:
            self._add_product(self.weight_velocity, h, v, beta=self.momentum)
            weight.mul_(kept).add_(self.weight_velocity, alpha=rate)
            visible = self.visible_bias_velocity.mul_(self.momentum).add_(visible)
            hidden = self.hidden_bias_velocity.mul_(self.momentum).add_(hidden)
        else:
            self._add_product(weight, h, v, beta=kept, alpha=rate)
        self.visible_bias.add_(visible, alpha=rate)
        self.hidden_bias.add_(hidden, alpha=rate)
        return torch.dot(visible, visible)

    def _add_product(self, to: Tensor, h: Tensor, v: Tensor, **factors: float) -> None:
        """Add ``h.T @ v`` in place, both multiplied by their factors."""
        if self._halves(len(v)) is None:
            to.addmm_(h.T, v, **factors)
        else:
            add_in_halves(to, h, v, **factors)


def _constant(start: Tensor) -> nn.Parameter:
    """Return a parameter of which autograd knows nothing."""
    return nn.Parameter(start, requires_grad=False)


@lru_cache
def _signed_shares(n_rows: int, n_model: int, device: torch.device) -> Tensor:
    """Return what each row counts in a mean over the data less one over the model."""
    share = torch.full((n_rows + n_model,), -1 / n_model, dtype=torch.float32, device=device)
    share[:n_rows] = 1 / n_rows
    return share
