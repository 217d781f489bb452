"""Gibbs sampling from a restricted Boltzmann machine, with chains that persist or are tempered."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._random import Generator
from .._training import Batch
from ._energy import EnergyModule

#: Number of chains that a machine may have, however few the rows are.
FEWEST_CHAINS = 100


class SamplingModule(EnergyModule):
    """A machine with Markov chains, whose ends are samples of its distribution.

    Parameters
    ----------
    n_features, n_components : int
        Numbers of visible and hidden units.
    hidden : {"binary", "relu"}
        Kind of the hidden units.
    n_chains : int
        Number of persistent Markov chains (at each temperature).
    algorithm : {"pcd", "cd", "pt"}
        Whether the chains start where they ended, at the data, or where they ended with
        exchanges between temperatures.
    n_gibbs_steps, n_temperatures : int
        Steps of the chains for each update; temperatures of "pt".
    """

    beta: Tensor
    chains: Tensor

    def __init__(
        self,
        n_features: int,
        n_components: int,
        *,
        hidden: str,
        n_chains: int,
        algorithm: str,
        n_gibbs_steps: int,
        n_temperatures: int,
    ):
        super().__init__(n_features, n_components, hidden=hidden)
        self.algorithm = algorithm
        self.n_gibbs_steps = n_gibbs_steps
        self.n_temperatures = n_temperatures if algorithm == "pt" else 1
        self.start_chains(n_chains)

    def start_chains(self, n_chains: int) -> None:
        """Start as many chains (at each temperature), with all hidden units at 0."""
        self.n_chains = n_chains
        beta = torch.linspace(1, 0, self.n_temperatures, dtype=torch.float32)
        self.register_buffer("beta", beta.repeat_interleave(n_chains)[:, None])
        n_components = self.weight.shape[0]
        self.register_buffer(
            "chains", self.weight.new_zeros(self.n_temperatures * n_chains, n_components)
        )

    # -- one step ------------------------------------------------------------------------

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

    # -- the chains of a step of learning ------------------------------------------------

    def sample_noise(self, batch: Batch, generator: Generator) -> Any:
        """Draw what the chains consume: a start of "cd", the Gibbs steps, exchanges of "pt"."""
        n_chains = (batch.x if self.algorithm == "cd" else self.chains).shape[0]
        steps = [self.draw_noise(n_chains, generator) for _ in range(self.n_gibbs_steps)]
        start = self.draw_noise(n_chains, generator)[1] if self.algorithm == "cd" else None
        uniforms = generator.uniform((n_chains,)) if self.algorithm == "pt" else None
        return start, steps, uniforms

    @torch.no_grad()
    def advance(self, x: Tensor, noise: Any, out: Tensor | None = None) -> Tensor:
        """Return the visible units at the end of the chains that a batch starts or goes on.

        They are the start of a batch, or `chains`, moved by all that `noise` holds but the
        last draw of the hidden units, which `keep_chains` takes. Those of "pt" are in order
        of their temperatures, of which the first is that of the machine. They are constants to
        autograd, and written to `out` if that is given.
        """
        start, steps, uniforms = noise
        h = self.chains
        if self.algorithm == "cd":
            h = self.sample_hidden(self.hidden_activation(x), start)
        beta = self.beta if self.algorithm == "pt" else None
        for visible_noise, hidden_noise in steps[:-1]:
            v = self.sample_visible(self.visible_activation(h, beta), visible_noise)
            h = self.sample_hidden(self.hidden_activation(v, beta), hidden_noise)
        if self.algorithm != "pt":
            return self.sample_visible(self.visible_activation(h), steps[-1][0], out)
        v = self.sample_visible(self.visible_activation(h, beta), steps[-1][0])
        return torch.index_select(v, 0, self._exchanged(v, uniforms), out=out)

    def keep_chains(self, activation: Tensor, mean: Tensor, noise: Any) -> None:
        """Draw the hidden units from which the chains go on at the next step.

        Parameters
        ----------
        activation, mean : Tensor of shape (n_chains, n_components)
            Of the hidden units, given the ends of all chains.
        noise : tuple
            What `sample_noise` drew.
        """
        hidden_noise = noise[1][-1][1]
        if self.algorithm == "pcd":
            self.hidden.sample(activation, mean, hidden_noise, out=self.chains)
        elif self.algorithm == "pt":
            self.chains.copy_(self.sample_hidden(self.beta * activation, hidden_noise))

    # -- temperatures --------------------------------------------------------------------

    def log_weight(self, v: Tensor, activation: Tensor, beta: Any) -> Tensor:
        """Return the log-probability of each row at an inverse temperature, up to log Z.

        `activation` is that of the hidden units at the inverse temperature 1.
        """
        states = self.hidden.log_states(beta * activation).sum(-1)
        return states - self.visible_energy(v, self.tempered_bias(beta))

    def _exchanged(self, v: Tensor, uniforms: Tensor) -> Tensor:
        """Return which chain is in each place after neighbouring temperatures change places.

        Metropolis' rule: they do with the probability ``min(1, p'/p)``, where p and p' are
        the joint probabilities of both before and after.
        """
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
            chain_at = chain_at.index_copy(0, cold, torch.where(swap, other, one))
            chain_at = chain_at.index_copy(0, warm, torch.where(swap, one, other))
        return chain_at
