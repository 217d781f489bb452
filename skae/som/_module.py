"""The maths of the self-organising map: winners, distances, and the two learning rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._compute import map_parts
from .._training import Batch, Step, Trainable
from ._grid import MATRIX_NUMBERS, NEIGHBORHOODS, Grid, spread
from ._untangling import untangled

# Numbers in the buffer of a winner search: what stays in a processor's cache, and what keeps an
# accelerator busy.
_BUFFER_NUMBERS_CPU = 2**17
_BUFFER_NUMBERS_ACCELERATOR = 2**24

# Parts of a batch for threads to take.
_N_PARTS = 16

# The learning rate of the online rule ends at this part of its start.
_LAST_RATE = 0.01

# A unit that receives less weight than this keeps its prototype.
_NO_WEIGHT = 1e-30

# A unit keeps its prototype, too, if less than this part of them is left when their signs differ.
_LEAST_PART = 0.1

# The batch rule reaches the last radius after this part of its sweeps, and stays there.
_FALLING = 0.75

# It goes so many times the way to the means, which gets it past poor optima (over-relaxation, as
# of Lloyd's method by Xiao 2010), but in the last sweeps, after this part of them.
_RELAXATION, _RELAXED = 1.8, 0.85

# Below this radius no neighbour carries along a unit that wins nothing any more, or keeps it in
# its place.
_NARROW = 1.0

# Maps with more units are not untangled: it takes matrices of units by units.
_MOST_UNTANGLED = 2**11

# Rounding errors of the search, at most, in multiples of that of a squared length.
_ROUNDING = 100

# A stream has brought enough after this many rows for each unit (Kohonen 2001).
_ROWS_PER_UNIT = 500

# Rows over which the online rule averages the error that makes memberships soft.
_MEMORY = 1000


class MapModule(Trainable):
    """Prototypes on a map.

    There is no loss with a gradient: `training_step` adds up the rows that each unit wins
    for `end_epoch` to move the prototypes (batch rule), or moves them row by row (online
    rule). Missing entries of a row are NaN.

    Parameters
    ----------
    neighborhood, decay, metric : str
        See `SelfOrganizingMap`.
    """

    codebook: nn.Parameter
    temperature: Tensor
    n_seen: Tensor
    # What a sweep of the batch rule adds up for each unit: the rows that it wins, their weights
    # and their errors; and the weights of all rows.
    _sums: Tensor | None
    _counts: Tensor
    _errors: Tensor
    _weights: Tensor
    # In the last sweep, by pair of units, the weight of the rows that have them nearest.
    _pairs: Tensor | None

    def __init__(self, *, neighborhood: str, decay: str, metric: str, online: bool = False):
        super().__init__()
        self.neighborhood, self.decay, self.metric = neighborhood, decay, metric
        self.online = online
        self._forget_sums()

    def start(self, grid: Grid, radius: tuple[float, float], codebook: Tensor) -> None:
        """Take a map, its first and last radius, and prototypes of shape (n_units, n_features)."""
        self.grid, self.radius = grid, radius
        codebook = F.normalize(codebook) if self.metric == "cosine" else codebook.clone()
        self.codebook = nn.Parameter(codebook, requires_grad=False)
        #: The mean error of a row, as `membership` takes it.
        self.register_buffer("temperature", codebook.new_zeros(()))
        #: The weight of the rows from which the map has learned one by one.
        self.register_buffer("n_seen", torch.zeros((), dtype=torch.float64))

    # -- learning ----------------------------------------------------------------------------

    maps_parts = True

    def parameter_groups(self) -> Sequence[Mapping[str, Any]]:
        """No gradient: the rules below move the prototypes."""
        return [{"params": []}]

    @torch.no_grad()
    def training_step(self, batch: Batch, noise: Any, step: Step) -> dict[str, Tensor]:
        x, weight = self.prepare(batch.x), batch.weight
        if self.online or step.streaming:
            distances = self._move_by(x, weight, step)
        else:
            distances = self._add_up(x, weight, step)
        return {"loss": distances.mean() if weight is None else (weight * distances).mean()}

    @torch.no_grad()
    def end_epoch(self, step: Step) -> None:
        if not step.streaming and step.epoch + 1 == step.n_epochs:
            self.n_seen.clamp_(min=_ROWS_PER_UNIT * len(self.codebook))
        if self._sums is None:
            return
        sums, counts, errors, pairs = self._sums, self._counts, self._errors, self._pairs
        self.temperature.copy_(errors.sum() / self._weights)
        self._forget_sums()
        if pairs is not None:
            adjacent = self.grid.adjacent(self.grid.positions(pairs))
            order = untangled(*(t.numpy(force=True) for t in (adjacent, pairs, self.codebook)))
            self.codebook.copy_(self.codebook[torch.from_numpy(order).to(pairs.device)])
            return
        n_falling = round(_FALLING * step.n_epochs)
        radius = self._between(*self.radius, min(1.0, step.epoch / max(1, n_falling - 1)))
        relaxed = radius > 0 and step.epoch < int(_RELAXED * step.n_epochs)
        n_features = sums.shape[1]
        received = spread(self.grid, self.neighborhood, radius, torch.cat([sums, counts], dim=1))
        total, weight = received[:, :n_features], received[:, n_features:]
        enough = weight > _NO_WEIGHT
        if self.neighborhood == "mexican_hat":  # weights of both signs may have no mean
            size = spread(self.grid, self.neighborhood, radius, counts, absolute=True)
            enough &= weight > _LEAST_PART * size
        moved = torch.where(enough, total / weight, self.codebook)
        if relaxed:
            moved = self.codebook + _RELAXATION * (moved - self.codebook)
        if 0 < radius < _NARROW and step.epoch + 1 < step.n_epochs:
            self._wake(moved, (counts == 0).all(1), errors)
        self.codebook.copy_(F.normalize(moved) if self.metric == "cosine" else moved)

    def _wake(self, moved: Tensor, idle: Tensor, errors: Tensor) -> None:
        """Put units that win nothing where they are of use, among `moved` prototypes.

        Each goes halfway to the adjacent unit with the largest error (where growing neural gas
        puts new units, Fritzke 1995), and so wins some of its rows in the end.
        """
        positions = self.grid.positions(moved)
        for units in idle.nonzero()[:, 0].split(max(1, MATRIX_NUMBERS // len(moved))):
            near = torch.where(self.grid.adjacent(positions[units]), errors, 0).max(1)
            units, nearest = units[near.values > 0], near.indices[near.values > 0]
            moved[units] = (self.codebook[units] + moved[nearest]) / 2

    def _add_up(self, x: Tensor, weight: Tensor | None, step: Step) -> Tensor:
        """Add each row to the sum of its winner; return the distances."""
        n_units, gaps = len(self.codebook), has_gaps(x)
        if self._sums is None:
            self._sums = torch.zeros_like(self.codebook)
            self._counts, self._errors = x.new_zeros(n_units, 1), x.new_zeros(n_units)
            self._weights = x.new_zeros(())
            if self._untangles(step):
                self._pairs = x.new_zeros(n_units, n_units)
        if self._pairs is None:
            winners, distances = self._search(x, gaps)
        else:
            seconds = x.new_empty(len(x), dtype=torch.int64)
            winners, distances = self._search(x, gaps, seconds)
            both = torch.bincount(winners * n_units + seconds, weight, minlength=n_units**2)
            self._pairs += both.view(n_units, n_units)
        energy = self._energy(distances)
        if gaps:  # the weights differ by feature
            known = (~x.isnan()).to(x.dtype)
            x = x.nan_to_num()
        if weight is not None:
            energy = weight * energy
            x = weight[:, None] * x
        if gaps:
            known = known if weight is None else weight[:, None] * known
            counts = torch.zeros_like(self.codebook).index_add_(0, winners, known)
        else:
            counts = torch.bincount(winners, weight, minlength=n_units)[:, None]
        self._counts = self._counts + counts
        self._sums.index_add_(0, winners, x)
        self._errors.index_add_(0, winners, energy)
        self._weights += len(x) if weight is None else weight.sum()
        return distances

    def _untangles(self, step: Step) -> bool:
        """Whether prototypes change places in this sweep rather than move."""
        last = step.epoch == step.n_epochs - 1 > 0
        return last and 0 < self.radius[1] < _NARROW and 2 < len(self.codebook) <= _MOST_UNTANGLED

    def _move_by(self, x: Tensor, weight: Tensor | None, step: Step) -> Tensor:
        """Move the prototypes towards one row after the other; return the distances."""
        codebook = self.codebook
        positions = self.grid.positions(codebook)
        reach = NEIGHBORHOODS[self.neighborhood]
        weights = [1.0] * len(x) if weight is None else weight.tolist()
        found = []
        n_seen, n_enough = float(self.n_seen), _ROWS_PER_UNIT * len(codebook)
        for number, (row, times) in enumerate(zip(x.split(1), weights, strict=True)):
            part = step.progress + (step.next_progress - step.progress) * number / len(x)
            if step.streaming:
                part = min(1.0, n_seen / (n_enough - 1))
            distances = self.distances(row)[0]
            winner = distances.argmin()
            found.append(distances[winner])
            radius = self._between(*self.radius, part)
            rate = self._between(step.learning_rate, _LAST_RATE * step.learning_rate, part)
            squared = self.grid.squared_distances(positions[winner][None])[0]
            share = rate * (reach(squared, radius) if radius > 0 else (squared < 0.25).to(x.dtype))
            if times != 1:  # a weight of two: the same step twice
                share = 1 - (1 - share) ** times
            codebook.add_((share[:, None] * (row - codebook)).nan_to_num_())
            if self.metric == "cosine":
                codebook.copy_(F.normalize(codebook))
            n_seen += times
            error = self._energy(found[-1]) - self.temperature
            self.temperature += error * min(1.0, times / min(n_seen, _MEMORY))
        self.n_seen.fill_(n_seen)
        return torch.stack(found)

    def _between(self, start: float, end: float, part: float) -> float:
        if self.decay == "linear" or start == end:
            return start + (end - start) * part
        return start * (end / start) ** part

    def _forget_sums(self) -> None:
        self._sums = self._pairs = None
        self._counts = self._errors = self._weights = torch.empty(0)

    def train(self, mode: bool = True) -> MapModule:
        """Drop, when training ends, what an interrupted sweep has added up."""
        self._forget_sums()
        return super().train(mode)

    # -- distances -----------------------------------------------------------------------------

    def prepare(self, x: Tensor) -> Tensor:
        """Return rows as they are compared: of unit length, with the cosine metric."""
        if self.metric != "cosine":
            return x
        return x / x.nan_to_num().norm(dim=1, keepdim=True)

    def winners(self, x: Tensor) -> Tensor:
        """Return the unit nearest to each row, of shape (n,)."""
        return self._nearest(x)[0]

    def _nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest unit of each row and its distance, whatever the other rows are."""
        x = self.prepare(x)
        gaps = has_gaps(x)
        if self.metric == "manhattan" or len(self.codebook) == 1:
            return self._search(x, gaps)
        seconds = x.new_empty(len(x), dtype=torch.int64)
        winners, distances = self._search(x, gaps, seconds)
        second = self._distance(x, self.codebook.index_select(0, seconds), gaps)
        # The search goes by a matrix product, which rounds otherwise for other rows.
        scale = x.nan_to_num().square().sum(1) + self.codebook.square().sum(1).max()
        rounding = _ROUNDING * torch.finfo(x.dtype).eps * scale
        unclear = self._energy(second) - self._energy(distances) <= rounding
        if unclear.any():
            distances[unclear], winners[unclear] = self.distances(x[unclear]).min(1)
        return winners, distances

    def two_winners(self, x: Tensor) -> Tensor:
        """Return the two units nearest to each row, of shape (n, 2)."""
        return self.distances(self.prepare(x)).topk(2, dim=1, largest=False).indices

    def distances(self, x: Tensor) -> Tensor:
        """Return the distances of prepared rows from all prototypes, of shape (n, n_units)."""
        codebook = self.codebook
        if has_gaps(x):
            total, known = x.new_zeros(len(x), len(codebook)), ~x.isnan()
            if self.metric == "cosine":
                norms = (known.to(x.dtype) @ codebook.square().T).sqrt()
                return 1 - x.nan_to_num() @ codebook.T / norms.clamp_min(1e-30)
            power = 1 if self.metric == "manhattan" else 2
            for column, prototypes in zip(x.T, codebook.T, strict=True):
                # Entry by entry, which rounds less than a matrix product.
                total += (column[:, None] - prototypes).abs_().pow_(power).nan_to_num_()
            total *= x.shape[1] / known.sum(1, keepdim=True)
            return total if power == 1 else total.sqrt_()
        if self.metric == "manhattan":
            return torch.cdist(x, codebook, p=1)
        # Exact: a matrix product would make a distance depend on the other rows.
        found = torch.cdist(x, codebook, compute_mode="donot_use_mm_for_euclid_dist")
        return found.square_().div_(2) if self.metric == "cosine" else found

    def _distance(self, x: Tensor, prototypes: Tensor, gaps: bool) -> Tensor:
        """Return the distance of each prepared row from one prototype, of shape (n,).

        It writes over the prototypes.
        """
        if self.metric == "cosine" and gaps:
            norms = torch.where(x.isnan(), 0, prototypes).norm(dim=1)
            return 1 - (x.nan_to_num() * prototypes).sum(1) / norms.clamp_min(1e-30)
        difference = prototypes.sub_(x)
        known = x.new_ones(1)
        if gaps:
            known = (~x.isnan()).to(x.dtype).mean(1)
            difference = difference.nan_to_num_()
        if self.metric == "manhattan":
            return difference.abs_().sum(1) / known
        found = difference.square_().sum(1) / known
        return found / 2 if self.metric == "cosine" else found.sqrt_()

    def _search(
        self, x: Tensor, gaps: bool, seconds: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the nearest unit of prepared rows and its distance, each of shape (n,).

        The rows are shared out to threads, which take some at a time in the same memory.
        `seconds`, if given, is filled with the units that come second.
        """
        on_cpu = x.device.type == "cpu"

        def find_best(scores: Tensor, best: Tensor) -> None:
            if on_cpu:  # numpy's argmax is vectorised, torch's takes as long as the product
                np.argmax(scores.numpy(), axis=1, out=best.numpy())
            else:
                torch.argmax(scores, dim=1, out=best)

        n_units = len(self.codebook)
        numbers = _BUFFER_NUMBERS_CPU if on_cpu else _BUFFER_NUMBERS_ACCELERATOR
        n_rows = max(1, numbers // n_units)  # at a time
        winners = torch.empty(len(x), dtype=torch.int64, device=x.device)
        distances = x.new_empty(len(x))
        # The nearest prototype w has the largest x w - w²/2. Less their mean c, v = w - c, it
        # has the largest x v - (c + v/2) v, which does not cancel where all rows lie far off.
        centre = self.codebook.mean(0)
        v = self.codebook - centre
        minus_half = -(centre + v / 2) * v
        products, bias = v.T.contiguous(), minus_half.sum(1)

        def search(part: slice) -> None:
            buffer = x.new_empty(min(n_rows, part.stop - part.start), n_units)
            for start in range(part.start, part.stop, n_rows):
                rows = slice(start, min(start + n_rows, part.stop))
                chunk = x[rows]
                scores, best = buffer[: len(chunk)], winners[rows]
                if self.metric == "manhattan" or (gaps and self.metric == "cosine"):
                    torch.neg(self.distances(chunk), out=scores)
                elif gaps:
                    torch.mm(chunk.nan_to_num(), products, out=scores)
                    scores.addmm_((~chunk.isnan()).to(x.dtype), minus_half.T)
                else:
                    torch.addmm(bias, chunk, products, out=scores)
                find_best(scores, best)
                if seconds is not None:
                    scores.scatter_(1, best[:, None], -torch.inf)
                    find_best(scores, seconds[rows])
            prototypes = self.codebook.index_select(0, winners[part])
            distances[part] = self._distance(x[part], prototypes, gaps)

        n_parts = _N_PARTS if on_cpu and len(x) * n_units > 2**20 else 1
        in_part = max(1, -(-len(x) // n_parts))
        parts = [slice(i, min(i + in_part, len(x))) for i in range(0, len(x), in_part)]
        map_parts(search, parts)
        return winners, distances

    # -- reading -------------------------------------------------------------------------------

    def log_score(self, x: Tensor) -> Tensor:
        return -self._nearest(x)[1]

    def encode(self, x: Tensor, output: str = "distances") -> Tensor:
        """Return the code of each row; `output` as in `SelfOrganizingMap`."""
        if output == "coordinates":
            return self.grid.positions(x)[self.winners(x)]
        distances = self.distances(self.prepare(x))
        if output == "distances":
            return distances
        return self._membership(distances)

    def _energy(self, distances: Tensor) -> Tensor:
        """Return distances as the exponent of a density has them: all but "manhattan" square."""
        return distances if self.metric != "euclidean" else distances.square() / 2

    def _membership(self, distances: Tensor) -> Tensor:
        """Return how likely each unit is, were rows spread around the prototypes alike.

        By a Laplace density with the metric "manhattan", else by a Gaussian one, whose
        width is that of the training rows around their winners.
        """
        n_features = self.codebook.shape[1]
        width = self.temperature * (1 if self.metric == "manhattan" else 2) / n_features
        energy = self._energy(distances)
        energy = energy - energy.amin(1, keepdim=True)
        return torch.softmax(-energy / width.clamp_min(1e-30), dim=1)

    def decode(self, z: Tensor, output: str = "distances") -> Tensor:
        """Return the row that each code stands for."""
        if output == "coordinates":
            return self.grid.interpolation(z) @ self.codebook
        if output == "membership":
            return z @ self.codebook
        return self.codebook[z.argmin(1)]

    def fill_in(self, x: Tensor) -> Tensor:
        """Return the rows with their missing entries from the winner."""
        return torch.where(x.isnan(), self.codebook[self.winners(x)], x)


def has_gaps(x: Tensor) -> bool:
    """Whether some entry is missing, that is, NaN."""
    return bool(x.sum().isnan())
