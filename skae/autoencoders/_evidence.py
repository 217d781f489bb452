"""The lower bounds of the log-likelihood that a variational autoencoder learns by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .._compute import chunk_rows
from .._random import Generator
from .._training import Batch, Step
from ..layers import frozen_statistics, run, sample_noise
from ._module import AutoencoderModule

# Codes of each row for its score, as by default of `VariationalAutoencoder`.
_N_DRAWS = 100

# Beyond this one bad step could make a variance infinite.
_LARGEST_LOG_VARIANCE = 20.0


class VariationalModule(AutoencoderModule):
    """Minus a lower bound of the log-likelihood of each row, in nats.

    The encoder gives a mean and a log-variance of each component of the code, the posterior
    q(z|x); the prior p(z) is standard normal, and p(x|z) the distribution of the output.

    Parameters
    ----------
    beta, beta_warmup, capacity, free_bits, n_importance_samples, doubly_reparameterized
        See `VariationalAutoencoder`.
    n_conditions : int
        How many numbers the decoder is given for each row beside its code.
    **arguments
        Those of `AutoencoderModule`.
    """

    beta: Tensor
    beta_warmup: Tensor
    capacity: Tensor | None
    free_bits: Tensor
    n_epochs: Tensor
    mean_condition: Tensor | None

    def __init__(
        self,
        *,
        beta: float,
        beta_warmup: int,
        capacity: float | None,
        free_bits: float,
        n_importance_samples: int,
        doubly_reparameterized: bool,
        n_conditions: int = 0,
        **arguments: Any,
    ):
        super().__init__(**arguments)
        mean_condition = torch.zeros(n_conditions, dtype=torch.float32) if n_conditions else None
        self.register_buffer("mean_condition", mean_condition)
        numbers = {
            "beta": beta,
            "beta_warmup": beta_warmup,
            "capacity": capacity,
            "free_bits": free_bits,
        }
        for name, value in numbers.items():
            tensor = None if value is None else torch.tensor(value, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)
        # How far the warm-up is belongs to what was learned.
        self.register_buffer("n_epochs", torch.zeros((), dtype=torch.float32))
        self.has_free_bits = free_bits > 0
        *_, last = self.encoder.modules()
        if type(last) is nn.Linear:
            # All codes begin with a variance of 1, however large the rows are.
            nn.init.zeros_(last.weight[self.n_components :].detach())
        self.n_importance_samples = n_importance_samples
        self.doubly_reparameterized = doubly_reparameterized

    # -- training ----------------------------------------------------------------------------

    def sample_noise(self, batch: Batch, generator: Generator) -> Any:
        x, weight, n_each = batch.x, batch.weight, self.n_importance_samples
        codes = x.new_empty((n_each * len(x), self.n_components))
        of_codes = weight if weight is None else weight.repeat(n_each)
        return (
            generator.normal(tuple(codes.shape), x.dtype),
            sample_noise(self.encoder, self.noise_shape(x), generator, weight),
            sample_noise(self.decoder, codes, generator, of_codes),
        )

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        normal, encoder_noise, decoder_noise = noise
        mean, log_variance = self.posterior(batch.x, encoder_noise)
        bound = self._bound if self.n_importance_samples == 1 else self._importance_bound
        return self.with_penalties(-bound(batch, mean, log_variance, normal, decoder_noise))

    def _bound(
        self, batch: Batch, mean: Tensor, log_variance: Tensor, normal: Tensor, noise: Any
    ) -> Tensor:
        """Return the evidence lower bound (Kingma and Welling 2014), with what bends it."""
        code = mean + (0.5 * log_variance).exp() * normal
        fit = self.log_prob(code, batch.x, batch.condition, noise)
        divergence = divergence_from_prior(mean, log_variance)
        if self.has_free_bits:
            each = _mean_of_rows(divergence, batch.weight)
            return fit - self._current_beta() * each.clamp(min=self.free_bits).sum()
        if self.capacity is not None:
            excess = _mean_of_rows(divergence, batch.weight).sum() - self._pace() * self.capacity
            return fit - self.beta * excess.abs()
        return fit - self._current_beta() * divergence.sum(1)

    def _importance_bound(
        self, batch: Batch, mean: Tensor, log_variance: Tensor, normal: Tensor, noise: Any
    ) -> Tensor:
        """Return the importance weighted bound (Burda et al. 2016).

        With `doubly_reparameterized`, of the same value with a gradient of the encoder of less
        variance (Tucker et al. 2019): each code contributes by the square of its normalised
        weight, and the density of the posterior has no gradient of its own.
        """
        n_each = self.n_importance_samples
        batch = Batch(_repeated(batch.x, n_each), None, _repeated(batch.condition, n_each))
        mean, log_variance = mean.repeat(n_each, 1), log_variance.repeat(n_each, 1)
        code = mean + (0.5 * log_variance).exp() * normal
        if not self.doubly_reparameterized:
            log_weight = self._log_weight(code, normal, log_variance, batch, noise)
            return log_weight.view(n_each, -1).logsumexp(0) - math.log(n_each)
        fixed_mean, fixed_variance = mean.detach(), log_variance.detach()
        with torch.no_grad(), frozen_statistics(self.decoder):
            log_weight = self._log_weight(code, normal, log_variance, batch, noise)
            share = log_weight.view(n_each, -1).softmax(0)
            bound = log_weight.view(n_each, -1).logsumexp(0) - math.log(n_each)
        code = code.detach() + share.view(-1, 1) * (code - code.detach())
        distance = (code - fixed_mean) * (-0.5 * fixed_variance).exp()
        log_weight = self._log_weight(code, distance, fixed_variance, batch, noise)
        along = (share * log_weight.view(n_each, -1)).sum(0)
        return bound + along - along.detach()

    def _log_weight(
        self, code: Tensor, normal: Tensor, log_variance: Tensor, batch: Batch, noise: Any
    ) -> Tensor:
        """Return log p(x|z) + beta (log p(z) - log q(z|x)) of each code."""
        density = 0.5 * (normal.square() + log_variance - code.square()).sum(1)
        fit = self.log_prob(code, batch.x, batch.condition, noise)
        return fit + self._current_beta() * density

    def _current_beta(self) -> Tensor:
        return self.beta * self._pace()

    def _pace(self) -> Tensor | float:
        """Return how much of the warm-up is over; validation rows see the end of it."""
        return ((self.n_epochs + 1) / self.beta_warmup).clamp(max=1) if self.training else 1.0

    def end_epoch(self, step: Step) -> None:
        self.n_epochs += 1

    # -- inference -----------------------------------------------------------------------------

    def code_of(self, rows: Tensor) -> Tensor:
        return self.posterior_of(rows)[0]

    def seen(self, filled: Tensor, x: Tensor) -> Tensor:
        return super().seen(self.output().encoder_input(filled), x)

    def posterior(self, x: Tensor, noise: Any = None) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the code of each row."""
        return self.posterior_of(self.encoder_input(x), noise)

    def posterior_of(self, rows: Tensor, noise: Any = None) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the code of each row of `encoder_input`."""
        encoded = run(self.encoder, rows, noise)
        mean, log_variance = encoded.split(self.n_components, 1)
        return mean, log_variance.clamp(-_LARGEST_LOG_VARIANCE, _LARGEST_LOG_VARIANCE)

    def log_prob(
        self, code: Tensor, x: Tensor, condition: Tensor | None = None, noise: Any = None
    ) -> Tensor:
        """Return log p(x|z) of each row and code, in nats, of the entries that are observed."""
        output = self.per_feature(run(self.decoder, self._with_condition(code, condition), noise))
        log_prob = self.output().log_prob(output, self.started(x))
        return self.where_observed(log_prob, x).sum(1)

    def decoder_output(self, z: Tensor) -> Tensor:
        """Return what the decoder gives for each code, with its condition beside it or not."""
        has_condition = z.shape[1] > self.n_components
        return self.per_feature(self.decoder(z if has_condition else self._with_condition(z, None)))

    def _with_condition(self, code: Tensor, condition: Tensor | None) -> Tensor:
        """Return the code with the condition beside it, the mean one where none is given."""
        if self.mean_condition is None:
            return code
        if condition is None:
            condition = self.mean_condition.expand(len(code), -1)
        return torch.cat([code, condition], 1)

    def set_mean_condition(self, condition: np.ndarray) -> None:
        """Set the condition of codes that come without."""
        self.mean_condition.copy_(torch.from_numpy(condition))  # type: ignore[union-attr]

    def log_score(
        self, x: Tensor, n_draws: int = _N_DRAWS, condition: Tensor | None = None
    ) -> Tensor:
        """Return the `evidence` of each row, as if its observed entries stood for all."""
        return self.evidence(x, n_draws, condition) * self.widening(x)

    def evidence(
        self, x: Tensor, n_draws: int = _N_DRAWS, condition: Tensor | None = None
    ) -> Tensor:
        """Return the importance weighted bound of each row, by the same draws for all.

        It is that of the observed entries.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            The rows.
        n_draws : int
            How many codes of each row are drawn.
        condition : Tensor of shape (n, n_conditions), optional
            The condition of each row; the mean one if a conditional model is given none.
        """
        log_weights = self._log_weights(x, n_draws, condition)
        return self._inside(log_weights.logsumexp(0) - math.log(n_draws), x)

    def impute(self, x: Tensor, n_draws: int = _N_DRAWS) -> Tensor:
        """Return rows with the mean of missing entries given the others (Mattei et al. 2019)."""
        share = self._log_weights(x, n_draws, None).softmax(0)
        total, n_done = torch.zeros_like(x), 0
        for code, _ in self._codes(*self.posterior(x), self._fixed_draws(n_draws)):
            rows = self.decode(code.flatten(0, 1)).unflatten(0, code.shape[:2])
            of_codes = share[n_done : n_done + len(code), :, None]
            total += (of_codes * rows).sum(0)
            n_done += len(code)
        return torch.where(x.isnan(), total, x)

    def _log_weights(self, x: Tensor, n_draws: int, condition: Tensor | None) -> Tensor:
        """Return log p(x, z) - log q(z|x) of the codes of each row, of shape (n_draws, n)."""
        mean, log_variance = self.posterior(x)
        found = []
        for code, normal in self._codes(mean, log_variance, self._fixed_draws(n_draws)):
            density = 0.5 * (normal.square() + log_variance - code.square()).sum(2)
            found.append(self._log_prob_of_each(code, x, condition) + density)
        return torch.cat(found)

    def evidence_bound(
        self, x: Tensor, n_draws: int = _N_DRAWS, condition: Tensor | None = None
    ) -> Tensor:
        """Return the plain bound of each row, its expectation over the code by the same draws.

        Observed entries stand for all, as in `log_score`.
        """
        draws = self._fixed_draws(n_draws)
        mean, log_variance = self.posterior(x)
        fit = [
            self._log_prob_of_each(code, x, condition)
            for code, _ in self._codes(mean, log_variance, draws)
        ]
        divergence = divergence_from_prior(mean, log_variance).sum(1)
        return self._inside(torch.cat(fit).mean(0) - divergence, x) * self.widening(x)

    def _fixed_draws(self, n_draws: int) -> Tensor:
        """Return standard normal numbers, the same in every call."""
        return Generator(0).normal((n_draws, self.n_components), torch.float64)

    def _inside(self, bound: Tensor, x: Tensor) -> Tensor:
        """Return bounds, minus infinity for rows that the likelihood excludes."""
        outside = self.output().is_outside(x)
        return bound if outside is None else bound.masked_fill(outside, -math.inf)

    def _codes(
        self, mean: Tensor, log_variance: Tensor, draws: Tensor
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through codes of each row, of shape (n_some, n, n_components), and their draws."""
        std = (0.5 * log_variance).exp()
        widest = max([1, *[side for p in self.decoder.parameters() for side in p.shape]])
        n_at_a_time = max(1, chunk_rows(widest, mean.device) // max(1, len(mean)))
        for some in draws.to(mean).split(n_at_a_time):
            normal = some[:, None, :]
            yield mean + std * normal, normal

    def _log_prob_of_each(self, code: Tensor, x: Tensor, condition: Tensor | None) -> Tensor:
        n_some, n, _ = code.shape
        rows, condition = _repeated(x, n_some), _repeated(condition, n_some)
        return self.log_prob(code.flatten(0, 1), rows, condition).view(n_some, n)


def divergence_from_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(q || p) of each component, of a normal q from the standard normal p, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def _repeated(rows: Any, n_times: int) -> Any:
    return None if rows is None else rows.repeat(n_times, 1)


def _mean_of_rows(values: Tensor, weight: Tensor | None) -> Tensor:
    return values.mean(0) if weight is None else weight @ values / weight.sum()
