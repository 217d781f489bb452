"""An overcomplete dictionary: its maths."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._training import Batch
from ..layers import keep_number
from ..outputs import make_output
from ._module import AutoencoderModule
from ._selection import Selection

# Length of the weights of a unit at the start, in encoder and decoder. Steps turn a short direction
# far, and lengthen it, since they are orthogonal to it: they turn it less and less.
_START = 0.1

# Slope of negative pre-activations where dead units code the residual.
_LEAK = 0.1


class Dictionary(nn.Module):
    """A linear decoder whose units have directions of length 1.

    The gradient of what is divided by its length has no part along it, so that a step only turns
    a direction.
    """

    def __init__(self, n_components: int, n_features: int):
        super().__init__()
        weight = F.normalize(torch.randn(n_components, n_features, dtype=torch.float32))
        self.weight = nn.Parameter(_START * weight)
        self.bias = nn.Parameter(torch.zeros(n_features))

    def directions(self) -> Tensor:
        """Return what each unit adds to the rows, shape (n_components, n_features)."""
        return self.weight / self.weight.norm(dim=1, keepdim=True)

    def forward(self, code: Tensor) -> Tensor:
        """Return the sum of the directions by a code, and the bias."""
        return torch.addmm(self.bias, code, self.directions())


class DictionaryModule(AutoencoderModule):
    """The squared error of rows rebuilt as sparse sums of directions.

    Parameters
    ----------
    selection : Selection
        What makes a sparse code of the pre-activations.
    n_features, n_components : int
        Width of the rows and of the code.
    aux_weight : float
        Weight of the squared error of what idle units make of the residual.
    dead_after : int
        Number of rows for which such a unit has not been active.

    Attributes
    ----------
    n_seen : Tensor of shape ()
        Sum of the weights of the rows in training.
    n_active : Tensor of shape (n_components,)
        That of the rows which activated each unit.
    n_idle : Tensor of shape (n_components,)
        That of the rows since each unit was active.
    """

    encoder: nn.Linear
    decoder: Dictionary
    aux_weight: Tensor
    dead_after: Tensor
    n_seen: Tensor
    n_active: Tensor
    n_idle: Tensor

    def __init__(
        self,
        selection: Selection,
        *,
        n_features: int,
        n_components: int,
        aux_weight: float,
        dead_after: int,
    ):
        decoder = Dictionary(n_components, n_features)
        encoder = nn.Linear(n_features, n_components)
        super().__init__(
            encoder,
            decoder,
            n_features=n_features,
            n_components=n_components,
            code_activation="identity",
            output=make_output("squared_error"),
            weight_decay=0.0,
            l1=0.0,
        )
        with torch.no_grad():
            encoder.weight.copy_(decoder.weight)
            encoder.bias.zero_()
        self.selection, self.n_features = selection, n_features
        for name, value in [("aux_weight", aux_weight), ("dead_after", float(dead_after))]:
            keep_number(self, name, value)
        self.register_buffer("n_seen", torch.zeros(()))
        self.register_buffer("n_active", torch.zeros(n_components))
        self.register_buffer("n_idle", torch.zeros(n_components))
        # So many of them rebuild the residual at a time.
        self._n_revived = max(1, min(n_features // 2, n_components // 16))
        self._revives = aux_weight > 0

    def pre_activation(self, x: Tensor) -> Tensor:
        """Return the product of each sample, less the bias of the decoder, and the encoder."""
        weight, bias = self.encoder.weight, self.encoder.bias
        return F.linear(x, weight, bias - weight @ self.decoder.bias)

    def loss(self, batch: Batch, noise: Any) -> Tensor:
        x, bias = batch.x, self.decoder.bias
        pre_activation = self.pre_activation(x)
        selected = self.selection.select(pre_activation, self.encoder.bias, batch.weight)
        directions = self.decoder.directions()
        # What is rebuilt, less the rows: the other way round, gradients would be negated in memory.
        nothing = rest = bias - x
        errors = []
        for start, stop in pairwise((0, *self.selection.widths)):
            rest = torch.addmm(rest, selected.code[:, start:stop], directions[start:stop])
            errors.append(_squared_length(rest))
        loss = sum(errors[1:], start=errors[0]) / len(errors) + selected.penalty
        if selected.gate is not None:
            fixed = torch.addmm(nothing.detach(), selected.gate, directions.detach())
            loss = loss + _squared_length(fixed)
        if self.training:
            self._count(selected.active, batch.weight)
            if self._revives:
                nearest = pre_activation.detach().amax(0)
                loss = loss + self._revival_loss(x, nearest, rest.detach(), directions)
        return loss / self.n_features

    @torch.no_grad()
    def _count(self, active: Tensor, weight: Tensor | None) -> None:
        n_rows = torch.full_like(self.n_seen, len(active)) if weight is None else weight.sum()
        n_active = active.sum(0) if weight is None else weight @ active
        self.n_seen.add_(n_rows)
        self.n_active.add_(n_active)
        self.n_idle.add_(n_rows).mul_(n_active == 0)

    def _revival_loss(self, x: Tensor, nearest: Tensor, rest: Tensor, directions: Tensor) -> Tensor:
        """Return the squared error of what dead units make of the residual.

        Those take part that came nearest to being active in the batch. What is positive of their
        pre-activations codes the residual, and a little of the rest, so that one that is
        always negative learns too. It is 0 where no unit is dead.
        """
        is_dead = self.n_idle >= self.dead_after
        units = nearest.masked_fill(~is_dead, -torch.inf).topk(self._n_revived).indices
        dead = is_dead.index_select(0, units).to(x.dtype)
        weight = self.encoder.weight.index_select(0, units)
        bias = self.encoder.bias.index_select(0, units) - weight @ self.decoder.bias.detach()
        code = F.leaky_relu(F.linear(x, weight, bias), _LEAK) * dead
        rest = torch.addmm(rest, code, directions.index_select(0, units))
        return self.aux_weight * dead.mean() * _squared_length(rest)

    def encode(self, x: Tensor) -> Tensor:
        return self.selection.read(self.pre_activation(x), self.encoder.bias)


def _squared_length(rows: Tensor) -> Tensor:
    return (rows * rows).sum(1)
