"""Learning of a restricted Boltzmann machine: its objective, and a step along its gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .._training import Batch, Step
from ._learning import add_sparsity, centre, signed_shares, statistics, update
from ._sampling import SamplingModule

# Rate of the running means over the steps of the hidden units, for their offset and sparsity.
_RUNNING_RATE = 0.01


class RBMModule(SamplingModule):
    """A restricted Boltzmann machine that learns by stochastic maximum likelihood.

    Parameters
    ----------
    n_features, n_components : int
        Numbers of visible and hidden units.
    centered : bool
        Whether to learn by the gradient of the centred machine.
    momentum, weight_decay, sparsity_target, sparsity_cost : float
        See `BernoulliRBM`. They are numbers, and no buffers, since a step is written out in
        operations that take numbers.
    **sampling : dict
        Other parameters of `SamplingModule`.
    """

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
        centered: bool,
        momentum: float,
        weight_decay: float,
        sparsity_target: float,
        sparsity_cost: float,
        **sampling: Any,
    ):
        super().__init__(n_features, n_components, **sampling)
        self.centered = centered
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        start = self.hidden.mean(torch.zeros(n_components))
        self.register_buffer("hidden_offset", start if centered else torch.zeros(n_components))
        self.register_buffer("running_mean", start.clone())
        for name, parameter in list(self.named_parameters()):
            velocity = torch.zeros(parameter.shape if momentum else 0)
            self.register_buffer(f"{name}_velocity", velocity)

    # -- the start -----------------------------------------------------------------------

    def update_moments(self, mean: Tensor, variance: Tensor, n_rows: float) -> None:
        """Update the mean of the visible units by further rows; the first rows set the start."""
        first = float(self.n_seen) == 0
        self.n_seen += n_rows
        self.visible_mean.lerp_(mean.to(self.visible_mean), n_rows / float(self.n_seen))
        if first:
            self._start(variance.to(self.visible_mean))
            if self.centered:
                self.hidden_bias.copy_(-self.weight @ self.scaled(self.visible_mean))

    def _start(self, variance: Tensor) -> None:
        """Set what belongs to the visible units by the first rows.

        Plain machines start at 0, as scikit-learn's: on its digits, biases that fit the data
        from the start give features that are worse by 0.3 % of accuracy.
        """
        if self.centered:
            self.visible_bias.copy_(self.base_bias())

    # -- the objective -------------------------------------------------------------------

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        """Return what a step descends, for each sample: the sum of `loss_terms`.

        The gradient of its weighted mean, with a mean weight of 1, is that of `training_step`,
        which follows

        - without centring, minus the gradient g itself;
        - with centring, the enhanced gradient: of ``-g = (dW, dc, db)``, without the weight
          decay, ``dW' = dW - dc m' - l db'``, ``dc' = dc - dW' m``, ``db' = db - dW'.T l`` with the
          means m and l of visible and hidden units; and from the weights minus that of the decay.
        """
        terms = self.loss_terms(batch, noise)
        return terms["free_energy_difference"] + terms["sparsity"] + terms["weight_decay"]

    def loss_terms(self, batch: Batch, noise: Any) -> dict[str, Tensor]:
        """Return the terms of the loss by name, each of shape (n,) or a scalar for all samples.

        - "free_energy_difference": ``F(v) - F(v~)``, where the v~ are the ends of the chains
          that `noise` moves, and constants: of "cd" that of the chain from the sample, otherwise
          the mean over all chains. The expectation of its gradient is that of minus the
          log-likelihood, once the chains have converged.
        - "sparsity": ``cost * sum_j (q_j - target) * a_j(v)`` with the running means q of the
          hidden units and their activations a. Its gradient by these is that of the cross-entropy
          between the target and q (Hinton 2012), in weights and hidden biases alone.
        - "weight_decay": ``decay * sum W^2 / 2``.
        """
        ends = self.free_energy(self.advance(batch.x, noise))
        if self.algorithm != "cd":
            ends = ends[: self.n_chains].mean()
        input_ = self.scaled(batch.x).detach()
        activation = torch.addmm(self.hidden_bias, input_, self.weight.T)
        return {
            "free_energy_difference": self.free_energy(batch.x) - ends,
            "sparsity": activation @ -self._push(),
            "weight_decay": self.weight_decay * self.weight.square().sum() / 2,
        }

    def _push(self) -> Tensor:
        """Return how far sparsity pushes the activation of each hidden unit."""
        return self.sparsity_cost * (self.sparsity_target - self.running_mean)

    # -- a step --------------------------------------------------------------------------

    def parameter_groups(self) -> Sequence[Mapping[str, Any]]:
        """No gradient: the step below changes the parameters in one pass over them."""
        return [{"params": []}]

    @torch.no_grad()
    def training_step(self, batch: Batch, noise: Any, step: Step) -> dict[str, Tensor]:
        """Take a step along the gradient of `loss`, and advance the chains.

        What it returns is cheaper than the loss: "energy_difference", the mean energy of the data
        less that of the model, with the mean hidden units. Given these, its gradient is that
        of the difference of the free energies.
        """
        n_rows = batch.x.shape[0]
        v = self._both_phases(batch.x, noise)
        activation = self.hidden_activation(v)
        h = self.hidden.mean(activation)
        self.keep_chains(activation[n_rows:], h[n_rows:], noise)
        share = self._shares(batch)
        n_counted = share.shape[0]  # of all temperatures, the first is that of the model
        v, h, activation = v[:n_counted], h[:n_counted], activation[:n_counted]
        data_mean = torch.mv(h[:n_rows].T, share[:n_rows])
        rate = self._bounded_rate(step.learning_rate * step.share, v, h)
        others = self._other_changes(v, h, share, rate)
        change = statistics(v, h, share)
        energy = self.mean_visible_energy(v, share, change.visible_bias)
        energy -= torch.dot(change.h.view(-1), activation.view(-1))
        if self.sparsity_cost:
            change = add_sparsity(change, share[:n_rows], self._push())
        if self.centered:
            m, l = self.visible_mean, self.hidden_offset  # noqa: E741
            change = centre(change, share, m, l, self.scaled(m))
        update(
            (self.weight, self.hidden_bias, self.visible_bias),
            (self.weight_velocity, self.hidden_bias_velocity, self.visible_bias_velocity),
            change,
            rate=rate,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
        )
        for parameter, value in others:
            parameter.copy_(value)
        for running in self._running_means():
            running.lerp_(data_mean, _RUNNING_RATE * step.share)
        return {"energy_difference": energy}

    def _running_means(self) -> list[Tensor]:
        """Return the means of the hidden units that a step needs, over the last steps."""
        needed = (self.sparsity_cost, "running_mean"), (self.centered, "hidden_offset")
        return [getattr(self, name) for is_needed, name in needed if is_needed]

    def _both_phases(self, x: Tensor, noise: Any) -> Tensor:
        """Return the rows of the batch and, below them, the ends of all chains."""
        n_rows, n_ends = x.shape[0], noise[1][-1][0].shape[0]
        v = x.new_empty((n_rows + n_ends, x.shape[1]))
        v[:n_rows] = x
        self.advance(x, noise, out=v[n_rows:])
        return v

    def _shares(self, batch: Batch) -> Tensor:
        """Return the share of each row of the batch, and that of the model's chains."""
        x, n_rows = batch.x, batch.x.shape[0]
        in_pairs = self.algorithm == "cd"  # each chain counts as much as the row it starts at
        share = signed_shares(n_rows, n_rows if in_pairs else self.n_chains, x.dtype, x.device)
        if batch.weight is None:
            return share
        weight = batch.weight / batch.weight.sum()
        return torch.cat([weight, -weight if in_pairs else share[n_rows:]])

    def _bounded_rate(self, rate: float, v: Tensor, h: Tensor) -> float:
        """Return the learning rate of a step, given the rows of both phases."""
        return rate

    def _other_changes(
        self, v: Tensor, h: Tensor, share: Tensor, rate: float
    ) -> list[tuple[Tensor, Tensor]]:
        """Return what else a step changes, and the values to change it to."""
        return []
