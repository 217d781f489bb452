"""Three networks that learn from each other: generator, encoder and discriminator."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .._random import Generator
from .._training import Batch, Step, Trainable
from ..layers import ACTIVATIONS, run, sample_noise
from ..losses import maximum_mean_discrepancy, mean_per_sample
from ._discriminator import Discriminator
from ._objectives import OBJECTIVES, squared_slopes

# Adam's decay rates: less momentum than usual, since the loss moves (Radford et al. 2016).
_BETAS = (0.5, 0.999)


class Draws(NamedTuple):
    """The random numbers of a step."""

    code: Tensor  # from which the generator makes rows
    place: Tensor | None  # of the gradient penalty between a real and a made row
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
    loss, gradient_penalty, reconstruction, mmd, averaging, n_discriminator_steps
        See `GenerativeAdversarialNetwork`.
    """

    gradient_penalty: Tensor
    reconstruction: Tensor
    mmd: Tensor
    averaging: Tensor
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
        **weights: float,
    ):
        super().__init__()
        for network in (generator, encoder, discriminator):
            _spread_biases(network)
        self.players = nn.ModuleDict({"generator": generator, "encoder": encoder})
        self.averages = copy.deepcopy(self.players).requires_grad_(False)
        self.discriminator = discriminator
        self.n_components = n_components
        self.output_activation = ACTIVATIONS[output_activation]()
        self.objective = loss
        self.n_discriminator_steps = n_discriminator_steps
        self._penalises = gradient_penalty > 0
        for name, value in {"gradient_penalty": gradient_penalty, **weights}.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.float32))

    # -- the objectives --------------------------------------------------------------------

    def sample_noise(self, batch: Batch, generator: Generator) -> list[Draws]:
        """Draw for each step of the discriminator; the others share the last."""
        return [self._draws(batch.x, generator) for _ in range(self.n_discriminator_steps)]

    def _draws(self, x: Tensor, generator: Generator) -> Draws:
        code = generator.normal((len(x), self.n_components), x.dtype)
        between = OBJECTIVES[self.objective].between and self._penalises
        both = x[:1].expand(2 * len(x), -1)  # for each row there is one that is made
        return Draws(
            code,
            generator.uniform((len(x), 1), x.dtype) if between else None,
            sample_noise(self.players["generator"], both, generator),
            sample_noise(self.players["encoder"], x, generator),
            sample_noise(self.discriminator.body, both, generator),
        )

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        """Return the discriminator's loss of each row and of a made one."""
        with torch.no_grad():
            code, made, _ = self._pairs(batch.x, noise[0])
        return self.discriminator_loss(batch.x, code, made, noise[0])

    def _pairs(self, x: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
        """Return the codes of rows, rows made of other codes, and of those."""
        code = run(self.players["encoder"], x, draws.encoder)
        both = run(self.players["generator"], torch.cat([draws.code, code]), draws.generator)
        made, rebuilt = self.output_activation(both).split(len(x))
        return code, made, rebuilt

    def discriminator_loss(self, x: Tensor, code: Tensor, made: Tensor, draws: Draws) -> Tensor:
        """Return what the discriminator minimises, for each row."""
        objective, weights = OBJECTIVES[self.objective], self.discriminator.weights()
        real, of_made = self._scores(weights, x, code, made, draws)
        loss = objective.of_real(real).sum(1) + objective.of_made(of_made).sum(1)
        if not self._penalises:
            return loss

        def score(x: Tensor, z: Tensor) -> Tensor:
            return functional_call(self.discriminator, weights, (x, z))[1].sum(1)

        # As it reads: under the statistics of a batch, a row by itself has no derivative.
        was_training = self.discriminator.training
        self.discriminator.eval()
        if draws.place is None:
            penalty = squared_slopes(score, x, code) / 2
        else:
            x, code = torch.lerp(x, made, draws.place), torch.lerp(code, draws.code, draws.place)
            penalty = ((squared_slopes(score, x, code) + 1e-12).sqrt() - 1).square()
        self.discriminator.train(was_training)
        return loss + self.gradient_penalty * penalty

    def players_loss(
        self, batch: Batch, code: Tensor, made: Tensor, rebuilt: Tensor, draws: Draws
    ) -> Tensor:
        """Return what generator and encoder minimise, for each row."""
        to_seem_real = OBJECTIVES[self.objective].to_seem_real
        real, of_made = self._scores(self.discriminator.weights(), batch.x, code, made, draws)
        loss = to_seem_real(of_made).sum(1) + to_seem_real(-real[:, 1])
        loss = loss + self.reconstruction * mean_per_sample((rebuilt - batch.x).square())
        return loss + self.mmd * maximum_mean_discrepancy(code, draws.code, batch.weight)

    def _scores(
        self, weights: Any, x: Tensor, code: Tensor, made: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """Return the scores of rows with their codes, and of codes with the rows made of them."""
        both = torch.cat([x, made]), torch.cat([code, draws.code]), draws.discriminator
        real, of_made = functional_call(self.discriminator, weights, both)[1].split(len(x))
        return real, of_made

    # -- a step ----------------------------------------------------------------------------

    def parameter_groups(self) -> Sequence[Mapping[str, Any]]:
        """One optimizer for generator and encoder, and one for the discriminator."""
        return [
            {"params": list(network.parameters()), "betas": _BETAS}
            for network in (self.players, self.discriminator)
        ]

    def training_step(self, batch: Batch, noise: Any, step: Step) -> dict[str, Tensor]:
        """Let the discriminator learn, then the other two."""
        players, discriminator = step.optimizers
        for draws in noise:
            self.discriminator.update_directions()
            code, made, rebuilt = self._pairs(batch.x, draws)
            losses = self.discriminator_loss(batch.x, code.detach(), made.detach(), draws)
            of_discriminator = _descend(losses, batch, discriminator, step)
        del losses
        losses = self.players_loss(batch, code, made, rebuilt, noise[-1])
        of_players = _descend(losses, batch, players, step)
        self._average()
        return {"loss": of_discriminator, "generator_loss": of_players}

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averages towards the players, at first by more: few steps are no average."""
        self.n_steps += 1
        kept = torch.minimum(self.averaging, (1 + self.n_steps) / (10 + self.n_steps))
        means: list[Tensor] = list(self.averages.parameters())
        values: list[Tensor] = list(self.players.parameters())
        torch._foreach_lerp_(means, values, float(1 - kept))
        for buffer, value in zip(self.averages.buffers(), self.players.buffers(), strict=True):
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
        """Return how real the row seems that is made of each code."""
        return self.row_score(self.decode(z))

    def log_score(self, x: Tensor) -> Tensor:
        return -mean_per_sample((self.decode(self.encode(x)) - x).square())


def _descend(losses: Tensor, batch: Batch, optimizer: Any, step: Step) -> Tensor:
    """Take a step along the gradient of the mean loss, by the optimizer's own parameters."""
    loss = losses.mean() if batch.weight is None else (batch.weight * losses).mean()
    parameters = [p for p in optimizer.param_groups[0]["params"] if p.requires_grad]
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
