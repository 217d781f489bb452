"""The self-organising map as the engine trains and applies it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from .._training import Batch, Step, Trainable, between
from . import _refinements as refinements
from ._batch_rule import Sums, add_up, batch_rule
from ._grid import Grid
from ._metrics import distances, energies, prepared
from ._online_rule import LAST_RATE, ROWS_PER_UNIT, learn_row_by_row, running_mean
from ._winners import nearest


class MapModule(Trainable):
    """Prototypes on a map.

    There is no loss with a gradient: `training_step` adds up the rows that each unit wins
    for `end_epoch` to move the prototypes (batch rule), or moves them row by row (online
    rule). Missing entries of a row are NaN. Rows and prototypes are taken relative to the
    `Centre` that the estimator keeps.

    Parameters
    ----------
    neighborhood, decay, metric : str
        See `SelfOrganizingMap`.
    online : bool
        Whether to learn by the online rule. From a stream that is the rule in any case.
    refine : bool
        Whether the batch rule is refined.
    """

    codebook: nn.Parameter
    temperature: Tensor
    n_seen: Tensor

    def __init__(
        self,
        *,
        neighborhood: str,
        decay: str,
        metric: str,
        online: bool = False,
        refine: bool = True,
    ):
        super().__init__()
        self.neighborhood, self.decay, self.metric = neighborhood, decay, metric
        self.online, self.refine = online, refine
        #: Whether entries of the rows in training may be missing.
        self.gaps = True

    def start(self, grid: Grid, radius: tuple[float, float], codebook: Tensor) -> None:
        """Take a map, its first and last radius, and prototypes of shape (n_units, n_features)."""
        self.grid, self.radius = grid, radius
        codebook = prepared(codebook.clone(), self.metric)
        self.codebook = nn.Parameter(codebook, requires_grad=False)
        #: The mean energy of a row, as `_membership` takes it.
        self.register_buffer("temperature", codebook.new_zeros(()))
        #: The weight of the rows from which the map has learned one by one.
        self.register_buffer("n_seen", torch.zeros((), dtype=torch.float64))

    # -- learning ----------------------------------------------------------------------------

    def parameter_groups(self) -> Sequence[Mapping[str, Any]]:
        """No gradient: the rules below move the prototypes."""
        return [{"params": []}]

    @torch.no_grad()
    def training_step(self, batch: Batch, noise: Any, step: Step) -> dict[str, Tensor]:
        x = prepared(batch.x, self.metric)
        if self.online or step.streaming:
            return {"loss": self._learn_row_by_row(x, batch.weight, step)}
        sums = add_up(
            x,
            batch.weight,
            self.codebook,
            self.metric,
            gaps=self.gaps,
            count_pairs=self._exchanges(step),
        )
        step.accumulated = sums if step.accumulated is None else step.accumulated + sums
        return {"loss": sums.distance / len(x)}

    @torch.no_grad()
    def end_epoch(self, step: Step) -> None:
        if not step.streaming and step.epoch + 1 == step.n_epochs:  # a stream may go on from here
            self.n_seen.clamp_(min=ROWS_PER_UNIT * len(self.codebook))
        if step.accumulated is not None:
            sums: Sums = step.accumulated
            self.temperature.copy_(sums.energies.sum() / sums.total)
            self.codebook.copy_(prepared(self._after_epoch(sums, step), self.metric))

    def _after_epoch(self, sums: Sums, step: Step) -> Tensor:
        """Return the prototypes after an epoch: by Kohonen's batch rule, refined or not."""
        codebook, epoch, n_epochs = self.codebook, step.epoch, step.n_epochs
        if sums.pairs is not None:
            return refinements.exchange(codebook, sums.pairs, self.grid)
        n_falling = refinements.falling_epochs(n_epochs) if self.refine else n_epochs
        radius = between(*self.radius, min(1.0, epoch / max(1, n_falling - 1)), self.decay)
        moved = batch_rule(sums, codebook, self.grid, self.neighborhood, radius)
        if self.refine and refinements.is_over_relaxed(epoch, n_epochs, radius):
            moved = refinements.over_relaxation(codebook, moved)
        if self.refine and refinements.are_idle_units_revived(epoch, n_epochs, radius):
            idle = (sums.weights == 0).all(1)
            moved = refinements.revival(moved, codebook, idle, sums.energies, self.grid)
        return moved

    def _exchanges(self, step: Step) -> bool:
        return self.refine and refinements.are_prototypes_exchanged(
            step.epoch, step.n_epochs, self.radius[1], len(self.codebook)
        )

    def _learn_row_by_row(self, x: Tensor, weight: Tensor | None, step: Step) -> Tensor:
        """Learn by the online rule; return the mean distance."""
        rate, weights = step.learning_rate, [1.0] * len(x) if weight is None else weight.tolist()
        before, *after = accumulate(weights, initial=float(self.n_seen))
        if step.streaming:
            n_enough = ROWS_PER_UNIT * len(self.codebook)
            parts = [min(1.0, n_seen / n_enough) for n_seen in (before, *after[:-1])]
        else:
            span = step.next_progress - step.progress
            parts = [step.progress + span * number / len(x) for number in range(len(x))]
        radii = [between(*self.radius, part, self.decay) for part in parts]
        rates = [between(rate, LAST_RATE * rate, part, self.decay) for part in parts]
        found = learn_row_by_row(
            self.codebook,
            x,
            zip(weights, radii, rates, strict=True),
            self.grid,
            self.neighborhood,
            self.metric,
        )
        running_mean(self.temperature, energies(found, self.metric), weights, after)
        self.n_seen.fill_(after[-1])
        return found.mean() if weight is None else (weight * found).mean()

    # -- inference -------------------------------------------------------------------------------

    def distances(self, x: Tensor) -> Tensor:
        """Return the distances of rows from all prototypes, of shape (n, n_units)."""
        return distances(prepared(x, self.metric), self.codebook, self.metric)

    def winners(self, x: Tensor) -> Tensor:
        """Return the unit nearest to each row, of shape (n,)."""
        return nearest(prepared(x, self.metric), self.codebook, self.metric)[0]

    def two_winners(self, x: Tensor) -> Tensor:
        """Return the two units nearest to each row, of shape (n, 2)."""
        return self.distances(x).topk(2, dim=1, largest=False).indices

    def log_score(self, x: Tensor) -> Tensor:
        return -nearest(prepared(x, self.metric), self.codebook, self.metric)[1]

    def encode(self, x: Tensor, output: str = "distances") -> Tensor:
        """Return the code of each row; `output` as in `SelfOrganizingMap`."""
        if output == "coordinates":
            return self.grid.positions(x)[self.winners(x)]
        found = self.distances(x)
        return found if output == "distances" else self._membership(found)

    def _membership(self, found: Tensor) -> Tensor:
        """Return how likely each unit is, were rows spread around the prototypes alike.

        By a Laplace density with the metric "manhattan", else by a Gaussian one, whose
        width is that of the training rows around their winners.
        """
        n_features = self.codebook.shape[1]
        width = self.temperature * (1 if self.metric == "manhattan" else 2) / n_features
        energy = energies(found, self.metric)
        energy = energy - energy.amin(1, keepdim=True)
        return torch.softmax(-energy / width.clamp_min(1e-30), dim=1)

    def decode(self, z: Tensor, output: str = "distances") -> Tensor:
        """Return the row that each code stands for."""
        if output == "coordinates":
            return self.grid.interpolation(z) @ self.codebook
        if output == "membership":
            return z @ self.codebook
        return self.codebook[z.argmin(1)]

    def quantized(self, x: Tensor) -> Tensor:
        """Return the prototype of the winner of each row."""
        return self.codebook[self.winners(x)]
