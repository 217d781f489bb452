"""The network of every autoencoder, and what it minimises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._random import Generator
from .._training import Batch, Trainable
from ..layers import (
    ACTIVATIONS,
    keep_number,
    mixes_rows,
    reading,
    run,
    sample_noise,
    without_in_place,
)
from ..losses import absolute_weights, mean_per_sample, squared_weights
from ..outputs import OutputModule
from ._gaps import Gaps


class AutoencoderModule(Trainable):
    """The error of the decoded code, plus the penalties on the weights.

    The loss has two halves, `training_code` and `decoding_loss`, for a subclass to change or to
    put something between.

    Parameters
    ----------
    encoder, decoder : torch.nn.Module
        As the layers of `skae.layers` build them.
    n_features, n_components : int
        Width of the rows and of the code.
    code_activation : str
        Name of the activation of the code.
    output : Output or object
        What the numbers that the decoder gives mean; see `skae.outputs`.
    weight_decay, l1 : float
        Weights of the penalties: half the sum of the squared weights, and the sum of the
        absolute ones.
    ordered : bool
        Whether to order the components by what they add to the reconstruction (nested dropout).
    gaps : Gaps or None
        What fills in missing entries (NaN) for the encoder; None if there are none.

    Attributes
    ----------
    n_kept : int
        How many of the first components `encode` returns.
    """

    weight_decay: Tensor
    l1: Tensor
    gaps: Gaps | None

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        n_features: int,
        n_components: int,
        code_activation: str,
        output: Any,
        weight_decay: float,
        l1: float,
        ordered: bool = False,
        gaps: Gaps | None = None,
    ):
        super().__init__()
        without_in_place(encoder)
        without_in_place(decoder)
        self.encoder = encoder
        self.code_activation = ACTIVATIONS[code_activation]()
        self.decoder = decoder
        self.output = OutputModule(output, n_features)
        self.n_outputs_per_feature = getattr(output, "n_outputs_per_feature", 1)
        for name, value in [("weight_decay", weight_decay), ("l1", l1)]:
            keep_number(self, name, value)
        self._penalises = weight_decay > 0 or l1 > 0
        self._draws = ordered or any(hasattr(part, "sample_noise") for part in (encoder, decoder))
        self.n_components = self.n_kept = n_components
        self.ordered = ordered
        self.gaps = gaps

    @property
    def mixes_rows(self) -> bool:
        return mixes_rows(self.encoder) or mixes_rows(self.decoder)

    def sample_noise(self, batch: Batch, generator: Generator) -> Any:
        if not self._draws:
            return None
        x, n_kept = self.noise_shape(batch.x), None
        if self.ordered:
            uniform = generator.uniform((len(x), 1), x.dtype)
            n_kept = ((self.n_components + 1) ** uniform).floor()
        parts = (self.encoder, self.decoder)
        return *(sample_noise(part, x, generator, batch.weight) for part in parts), n_kept

    def noise_shape(self, x: Tensor) -> Tensor:
        """Return a tensor like what the encoder takes for rows, for layers that draw."""
        return x if self.gaps is None else self.gaps.with_mask(self.gaps.start(x), x)

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        return self.reconstruction_loss(batch.x, batch.x, noise)

    def reconstruction_loss(self, source: Tensor, target: Tensor, noise: Any) -> Tensor:
        """Return the loss of reconstructing `target` from `source`, per sample."""
        return self.decoding_loss(self.training_code(source, noise), target, noise)

    def training_code(self, x: Tensor, noise: Any) -> Tensor:
        """Return the code of each sample as training sees it, with the noise of the layers."""
        encoder_noise, _, n_kept = noise if noise is not None else (None,) * 3
        code = self.code_activation(run(self.encoder, self.encoder_input(x), encoder_noise))
        if n_kept is not None:
            code = code * (torch.arange(self.n_components, device=code.device) < n_kept)
        return code

    def decoding_loss(self, code: Tensor, target: Tensor, noise: Any) -> Tensor:
        """Return the loss of decoding `code` where `target` is wanted, per sample."""
        output = self.per_feature(run(self.decoder, code, None if noise is None else noise[1]))
        return self.with_penalties(mean_per_sample(self.observed_error(output, target)))

    def observed_error(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the error of each entry, 0 where it is missing: it could not be rebuilt wrong."""
        return self.where_observed(self.output().error(output, self.started(target)), target)

    def where_observed(self, values: Tensor, x: Tensor) -> Tensor:
        """Return values of entries, 0 where the entry of `x` is missing."""
        return values if self.gaps is None else values.masked_fill(x.isnan(), 0)

    def started(self, x: Tensor) -> Tensor:
        """Return rows with finite numbers in place of missing entries."""
        return x if self.gaps is None else self.gaps.start(x)

    def encoder_input(self, x: Tensor) -> Tensor:
        """Return rows as the encoder takes them, missing entries filled in."""
        return self.seen(self.filled(x), x)

    def seen(self, filled: Tensor, x: Tensor) -> Tensor:
        """Return rows without missing entries as the encoder takes them."""
        return filled if self.gaps is None else self.gaps.with_mask(filled, x)

    def filled(self, x: Tensor) -> Tensor:
        """Return rows without missing entries."""
        if self.gaps is None:
            return x
        with torch.no_grad(), reading(self.encoder, self.decoder):
            filled = self.gaps(x, lambda rows: self.rebuilt(self.code_of(self.seen(rows, x))))
        return torch.where(x.isnan(), filled, x)

    def with_penalties(self, loss: Tensor) -> Tensor:
        """Return a loss per sample with the penalties on the weights added."""
        if self._penalises:
            parts = self.encoder, self.decoder
            weights = [p for p in nn.ModuleList(parts).parameters() if p.ndim > 1]
            loss = loss + self.weight_decay * squared_weights(weights)
            loss = loss + self.l1 * absolute_weights(weights)
        return loss

    def encode(self, x: Tensor) -> Tensor:
        return self.code_of(self.encoder_input(x))

    def code_of(self, rows: Tensor) -> Tensor:
        """Return the code of each row of `encoder_input`."""
        return self.code_activation(self.encoder(rows))[..., : self.n_kept]

    def full_code(self, x: Tensor) -> Tensor:
        """Return what a reconstruction is decoded from, where `encode` gives less than that."""
        return self.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        return self.rebuilt(z)

    def rebuilt(self, code: Tensor) -> Tensor:
        """Return the reconstruction from each `full_code`."""
        return self.output().mean(self.decoder_output(code))

    def decoder_output(self, z: Tensor) -> Tensor:
        """Return what the decoder gives for each code; missing components are 0."""
        return self.per_feature(self.decoder(F.pad(z, (0, self.n_components - z.shape[1]))))

    def per_feature(self, output: Tensor) -> Tensor:
        """Return the numbers that the decoder gives, those of a feature along the last axis."""
        n_each = self.n_outputs_per_feature
        return output if n_each == 1 else output.unflatten(1, (-1, n_each))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the decoded code of each sample."""
        return self.rebuilt(self.full_code(x))

    def reconstruction_error(self, x: Tensor) -> Tensor:
        """Return the error of each entry of the batch, NaN where it is missing."""
        return self.error_of(self.full_code(x), x)

    def error_of(self, code: Tensor, target: Tensor) -> Tensor:
        """Return the error of each entry of `target` when rebuilt from `code`."""
        return self.output().error(self.decoder_output(code), target)

    def log_score(self, x: Tensor) -> Tensor:
        return -self.mean_error(self.reconstruction_error(x), x)

    def mean_error(self, error: Tensor, x: Tensor) -> Tensor:
        """Return the mean error of the observed entries of each row."""
        mean = mean_per_sample(self.where_observed(error, x))
        return mean * self.widening(x)

    def widening(self, x: Tensor) -> Tensor | float:
        """Return how many times as many features a row has as observed entries."""
        if self.gaps is None:
            return 1.0
        observed = (~x.isnan()).sum(1)
        return x.shape[1] / observed.to(x.dtype)

    def impute(self, x: Tensor) -> Tensor:
        """Return rows with the reconstruction in place of missing entries."""
        return torch.where(x.isnan(), self.reconstruct(x), x)

    def fill_missing(self, x: Tensor, start: np.ndarray, max_iter: int, tol: float) -> Tensor:
        """Replace NaN by its reconstruction, again while the error of the other entries falls."""
        missing = x.isnan()
        x = torch.where(missing, torch.tensor(start, dtype=x.dtype, device=x.device), x)
        active = missing.any(1).nonzero()[:, 0]
        least = x.new_full((len(active),), torch.inf)
        for _ in range(max_iter):
            if not len(active):
                break
            rows = x[active]
            output = self.decoder_output(self.full_code(rows))
            errors = self.output().error(output, rows).masked_fill(missing[active], 0)
            error = mean_per_sample(errors)
            # Not for a row whose reconstruction is worse: repetition leads a network that is no
            # projection to its fixed points, which need not be near any row.
            falls = least - error > tol * error.abs()
            active, least = active[falls], error[falls]
            rebuilt = self.output().mean(output)[falls]
            x[active] = torch.where(missing[active], rebuilt, x[active])
        return x

    def squared_error_by_width(self, x: Tensor, widths: Sequence[int]) -> Tensor:
        """Return the squared error of each sample with as many of its first components."""
        code = self.encode(x)
        errors = [(self.decode(code[:, :width]) - x).square() for width in widths]
        return torch.stack([self.where_observed(error, x).sum(1) for error in errors], dim=1)
