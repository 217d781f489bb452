"""Generator, encoder and discriminator, and the steps in which they learn from each other."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .._random import Generator
from .._training import Batch, Step, Trainable
from ..layers import (
    ACTIVATIONS,
    Part,
    check_layers,
    frozen_statistics,
    keep_number,
    mixes_rows,
    run,
    sample_noise,
    without_in_place,
)
from ..losses import mean_per_sample, prior_discrepancy, squared_slopes
from ._discriminator import Discriminator
from ._objectives import OBJECTIVES

# Adam's decay rates: less momentum than usual, since the loss moves (Radford et al. 2016); and a
# shorter memory of squared gradients (Gulrajani et al. 2017; Miyato et al. 2018), so that after
# many small gradients a large one makes no leap.
_BETAS = (0.5, 0.9)


class Draws(NamedTuple):
    """The random numbers of a step."""

    code: Tensor  # of the generated rows
    place: Tensor | None  # of the gradient penalty between a real and a generated row
    generator: Any  # of the layers
    encoder: Any
    discriminator: Any


class GANModule(Trainable):
    """A generator, an encoder, and a discriminator of pairs of rows and codes.

    Parameters
    ----------
    generator, encoder : torch.nn.Module
        As the layers of `skae.layers` build decoders and encoders.
    discriminator : Discriminator
        Scores rows, and pairs of a row and a code.
    n_components : int
        Width of the code.
    output_activation : str
        Name of the activation after the generator.
    loss, gradient_penalty, code_gradient_penalty, reconstruction_weight, mmd_weight, ema_decay,
    n_discriminator_steps
        See `GenerativeAdversarialNetwork`.
    """

    gradient_penalty: Tensor
    code_gradient_penalty: Tensor
    reconstruction_weight: Tensor
    mmd_weight: Tensor
    ema_decay: Tensor
    n_steps: Tensor

    def __init__(
        self,
        generator: nn.Module,
        encoder: nn.Module,
        discriminator: Discriminator,
        *,
        n_components: int,
        output_activation: str,
        loss: str,
        n_discriminator_steps: int,
        gradient_penalty: float,
        code_gradient_penalty: float,
        mmd_weight: float,
        **others: float,
    ):
        super().__init__()
        for network in (generator, encoder, discriminator):
            without_in_place(network)
            _spread_biases(network)
        self.autoencoder = nn.ModuleDict({"generator": generator, "encoder": encoder})
        self.averages = copy.deepcopy(self.autoencoder).requires_grad_(False)
        self.discriminator = discriminator
        self.n_components = n_components
        self.output_activation = ACTIVATIONS[output_activation]()
        self.objective = loss
        self.n_discriminator_steps = n_discriminator_steps
        penalties = [gradient_penalty]
        if not OBJECTIVES[loss].between:  # where one penalty is of rows and codes together
            penalties.append(code_gradient_penalty)
        self._penalises = any(penalties)
        self._matches_prior = mmd_weight > 0
        others |= {
            "gradient_penalty": gradient_penalty,
            "code_gradient_penalty": code_gradient_penalty,
            "mmd_weight": mmd_weight,
        }
        for name, value in others.items():
            keep_number(self, name, value)
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.float32))

    @property
    def mixes_rows(self) -> bool:
        return mixes_rows(self.autoencoder) or mixes_rows(self.discriminator.body)

    def check_networks(self, n_features: int, discriminator_maker: str) -> None:
        """Pass a few rows through each untrained network; see `check_layers`."""
        generator, encoder = self.autoencoder["generator"], self.autoencoder["encoder"]
        body, width, made = self.discriminator.body, self.discriminator.width, "hidden_layers makes"
        check_layers(
            [
                Part(f"The encoder that {made}", encoder, n_features, self.n_components),
                Part(f"The decoder that {made}", generator, self.n_components, n_features),
                Part(f"The encoder that {discriminator_maker} makes", body, n_features, width),
            ]
        )

    # -- the objectives --------------------------------------------------------------------

    def sample_noise(self, batch: Batch, generator: Generator) -> list[Draws]:
        """Draw for each step of the discriminator; generator and encoder share the last."""
        return [self._draws(batch, generator) for _ in range(self.n_discriminator_steps)]

    def _draws(self, batch: Batch, generator: Generator) -> Draws:
        x, weight = batch.x, batch.weight
        code = generator.normal((len(x), self.n_components), x.dtype)
        between = OBJECTIVES[self.objective].between and self._penalises
        # For each row one is generated, which counts by the same weight.
        both = x[:1].expand(2 * len(x), -1)
        of_both = None if weight is None else torch.cat([weight, weight])
        return Draws(
            code,
            generator.uniform((len(x), 1), x.dtype) if between else None,
            sample_noise(self.autoencoder["generator"], both, generator, of_both),
            sample_noise(self.autoencoder["encoder"], x, generator, weight),
            sample_noise(self.discriminator.body, both, generator, of_both),
        )

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        """Return the discriminator's loss of each row and of a generated one."""
        with torch.no_grad():
            code, generated, _ = self._pairs(batch.x, noise[0])
        return self.discriminator_loss(batch.x, code, generated, noise[0])

    def _pairs(self, x: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
        """Return the codes of rows, rows generated from drawn codes, and from those of the rows."""
        code = run(self.autoencoder["encoder"], x, draws.encoder)
        both = run(self.autoencoder["generator"], torch.cat([draws.code, code]), draws.generator)
        generated, reconstructed = self.output_activation(both).split(len(x))
        return code, generated, reconstructed

    def discriminator_loss(
        self, x: Tensor, code: Tensor, generated: Tensor, draws: Draws
    ) -> Tensor:
        """Return what the discriminator minimises, for each row."""
        objective, weights = OBJECTIVES[self.objective], self.discriminator.weights()
        real, of_generated = self._scores(weights, x, code, generated, draws)
        loss = objective.of_real(real).sum(1) + objective.of_generated(of_generated).sum(1)
        if not self._penalises:
            return loss

        def score(x: Tensor, z: Tensor) -> Tensor:
            return functional_call(self.discriminator, weights, (x, z))[1].sum(1)

        # As at inference: under the statistics of a batch, a row by itself has no derivative.
        was_training = self.discriminator.training
        self.discriminator.eval()
        if draws.place is None:
            by_row, by_code = squared_slopes(score, x, code)
            penalty = (self.gradient_penalty * by_row + self.code_gradient_penalty * by_code) / 2
        else:
            x = torch.lerp(x, generated, draws.place)
            code = torch.lerp(code, draws.code, draws.place)
            by_row, by_code = squared_slopes(score, x, code)
            length = (by_row + by_code + 1e-12).sqrt()
            penalty = self.gradient_penalty * (length - 1).square()
        self.discriminator.train(was_training)
        return loss + penalty

    def generator_loss(
        self, batch: Batch, code: Tensor, generated: Tensor, reconstructed: Tensor, draws: Draws
    ) -> Tensor:
        """Return what generator and encoder minimise, for each row."""
        to_seem_real = OBJECTIVES[self.objective].to_seem_real
        weights = self.discriminator.weights()
        with frozen_statistics(self.discriminator):  # which have followed the batch before
            real, of_generated = self._scores(weights, batch.x, code, generated, draws)
        loss = to_seem_real(of_generated).sum(1) + to_seem_real(-real[:, 1])
        error = mean_per_sample((reconstructed - batch.x).square())
        loss = loss + self.reconstruction_weight * error
        if self._matches_prior:
            loss = loss + self.mmd_weight * prior_discrepancy(code, draws.code, batch.weight)
        return loss

    def _scores(
        self, weights: Any, x: Tensor, code: Tensor, generated: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """Return the scores of rows with their codes, and of generated rows with theirs."""
        both = torch.cat([x, generated]), torch.cat([code, draws.code]), draws.discriminator
        real, of_generated = functional_call(self.discriminator, weights, both)[1].split(len(x))
        return real, of_generated

    # -- a step ----------------------------------------------------------------------------

    def parameter_groups(self) -> Sequence[Mapping[str, Any]]:
        """One optimizer for generator and encoder, and one for the discriminator."""
        return [
            {"params": list(network.parameters()), "betas": _BETAS}
            for network in (self.autoencoder, self.discriminator)
        ]

    def training_step(self, batch: Batch, noise: Any, step: Step) -> dict[str, Tensor]:
        """Let the discriminator learn, then generator and encoder."""
        of_autoencoder, of_discriminator = step.optimizers
        for draws in noise:
            self.discriminator.update_directions()
            last = draws is noise[-1]
            with nullcontext() if last else frozen_statistics(self):
                code, generated, reconstructed = self._pairs(batch.x, draws)
                losses = self.discriminator_loss(batch.x, code.detach(), generated.detach(), draws)
            discriminator_loss = _descend(losses, batch, of_discriminator, step)
        del losses
        losses = self.generator_loss(batch, code, generated, reconstructed, noise[-1])
        generator_loss = _descend(losses, batch, of_autoencoder, step)
        self._average()
        return {"loss": discriminator_loss, "generator_loss": generator_loss}

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averages towards the weights, at first by more: few steps are no average."""
        self.n_steps += 1
        kept = torch.minimum(self.ema_decay, (1 + self.n_steps) / (10 + self.n_steps))
        means: list[Tensor] = list(self.averages.parameters())
        values: list[Tensor] = list(self.autoencoder.parameters())
        torch._foreach_lerp_(means, values, float(1 - kept))
        for buffer, value in zip(self.averages.buffers(), self.autoencoder.buffers(), strict=True):
            buffer.copy_(value)

    # -- inference ---------------------------------------------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        return self.averages["encoder"](x)

    def decode(self, z: Tensor) -> Tensor:
        return self.output_activation(self.averages["generator"](z))

    def discriminator_features(self, x: Tensor) -> Tensor:
        """Return what the discriminator sees in each row."""
        return functional_call(self.discriminator, self.discriminator.weights(), (x,))[0]

    def row_score(self, x: Tensor) -> Tensor:
        """Return how real each row seems by itself: of "non_saturating", log-odds; shape (n,)."""
        return functional_call(self.discriminator, self.discriminator.weights(), (x,))[1][:, 0]

    def code_score(self, z: Tensor) -> Tensor:
        """Return how real the row seems that is generated from each code."""
        return self.row_score(self.decode(z))

    def log_score(self, x: Tensor) -> Tensor:
        return -mean_per_sample((self.decode(self.encode(x)) - x).square())


def _descend(losses: Tensor, batch: Batch, optimizer: Any, step: Step) -> Tensor:
    """Take a step along the gradient of the mean loss, by the optimizer's own parameters."""
    loss = losses.mean() if batch.weight is None else (batch.weight * losses).mean()
    parameters = [p for p in optimizer.param_groups[0]["params"] if p.requires_grad]
    if not parameters:  # a callback froze them
        return loss.detach()
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    step.on_gradients()
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()


@torch.no_grad()
def _spread_biases(network: nn.Module) -> None:
    """Draw biases as torch does: with none, all units would bend at 0, far from most modes."""
    for layer in network.modules():
        weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
        if isinstance(weight, Tensor) and isinstance(bias, Tensor) and weight.ndim > 1:
            bias.uniform_(-1, 1).mul_(weight[0].numel() ** -0.5)
