"""Maps: where units lie, which are neighbours, and how far a winner reaches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .._compute import chunk_rows

#: Distance between the rows of a hexagonal map whose neighbours are 1 apart.
_HEXAGONAL_GAP = math.sqrt(3) / 2

# How much a Mexican hat pushes away. The textbook's second derivative of a Gaussian pushes more
# than it pulls wherever winners are all around, and maps fall apart.
_INHIBITION = 0.1

#: How much a unit at squared distance d2 learns from a winner, with radius r > 0.
NEIGHBORHOODS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "gaussian": lambda d2, r: torch.exp(d2 / (-2 * r * r)),
    "bubble": lambda d2, r: (d2 <= r * r * (1 + 1e-6)).to(d2.dtype),
    "mexican_hat": lambda d2, r: (
        (1 + _INHIBITION) * torch.exp(d2 / (-2 * r * r))
        - _INHIBITION * torch.exp(d2 / (-8 * r * r))
    ),
    "triangle": lambda d2, r: (1 - d2.sqrt() / r).clamp_min(0),
}


@dataclass(frozen=True)
class Grid:
    """The geometry of a map, whose neighbouring units are 1 apart.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns. Units are numbered row by row.
    hexagonal : bool
        Whether each unit has six neighbours at the same distance, odd rows being shifted
        by half a unit, rather than lying on a square lattice.
    toroidal : bool
        Whether the map goes on at the opposite border.
    """

    shape: tuple[int, int]
    hexagonal: bool = False
    toroidal: bool = False

    @property
    def n_units(self) -> int:
        """Number of units."""
        return math.prod(self.shape)

    def positions(self, like: Tensor) -> Tensor:
        """Return where each unit lies, (x, y), of shape (n_units, 2)."""
        rows, columns = (torch.arange(n, dtype=like.dtype, device=like.device) for n in self.shape)
        y, x = (axis.flatten() for axis in torch.meshgrid(rows, columns, indexing="ij"))
        if self.hexagonal:
            x, y = x + (y % 2) / 2, y * _HEXAGONAL_GAP
        return torch.stack([x, y], dim=1)

    def offsets(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return how far points are from each unit in x and in y, by the shortest way.

        Parameters
        ----------
        points : Tensor of shape (n_points, 2)
            Positions on the map.

        Returns
        -------
        tuple of Tensor, each of shape (n_points, n_units)
        """
        dx, dy = (points[:, None] - self.positions(points)).unbind(2)
        if not self.toroidal:
            return dx, dy
        width = self.shape[1]
        height = self.shape[0] * (_HEXAGONAL_GAP if self.hexagonal else 1)
        # Past the last of an odd number of hexagonal rows comes the first, shifted.
        shift = 0.5 if self.hexagonal and self.shape[0] % 2 else 0.0
        best = None
        for turns in (-1, 0, 1):
            x, y = dx + turns * shift, dy + turns * height
            x = x - width * torch.round(x / width)
            if best is None:
                best = x, y
            else:
                nearer = x**2 + y**2 < best[0] ** 2 + best[1] ** 2
                best = torch.where(nearer, x, best[0]), torch.where(nearer, y, best[1])
        assert best is not None
        return best

    def squared_distances(self, points: Tensor) -> Tensor:
        """Return the squared distances on the map, of shape (n_points, n_units)."""
        dx, dy = self.offsets(points)
        return dx.square_().add_(dy.square_())

    def adjacent(self, points: Tensor) -> Tensor:
        """Return which units are neighbours of which points, of shape (n_points, n_units).

        A unit inside the map has eight neighbours, or six on a hexagonal one.
        """
        squared = self.squared_distances(points)
        return (squared > 0.25) & (squared < (1.5 if self.hexagonal else 2.5))

    def interpolation(self, points: Tensor) -> Tensor:
        """Return the weights with which units interpolate between them linearly.

        Bilinear on a rectangular map, on a hexagonal one linear in each triangle between
        three neighbours. A point outside of the map has the value of the nearest unit.

        Parameters
        ----------
        points : Tensor of shape (n_points, 2)
            Positions on the map.

        Returns
        -------
        Tensor of shape (n_points, n_units)
            Not negative; each row sums to 1.
        """
        dx, dy = self.offsets(points)
        if self.hexagonal:
            r = dy / _HEXAGONAL_GAP
            q = dx - r / 2
            weights = 1 - torch.stack([q.abs(), r.abs(), (q + r).abs()]).amax(0)
            weights = weights.clamp_min(0)
        else:
            weights = (1 - dx.abs()).clamp_min(0) * (1 - dy.abs()).clamp_min(0)
        total = weights.sum(1, keepdim=True)
        nearest = torch.zeros_like(weights)
        nearest.scatter_(1, (dx**2 + dy**2).argmin(1, keepdim=True), 1.0)
        return torch.where(total > 1e-6, weights / total, nearest)

    def layout(self, like: Tensor) -> Tensor:
        """Return positions whose plain distances are, near by, those on the map.

        Those of the units; for a toroidal map on a torus in four dimensions.
        """
        positions = self.positions(like)
        if not self.toroidal:
            return positions
        x, y = positions.unbind(1)
        width = self.shape[1]
        height = self.shape[0] * (_HEXAGONAL_GAP if self.hexagonal else 1)
        shift = 0.5 if self.hexagonal and self.shape[0] % 2 else 0.0
        circles = []
        for position, length in ((x - shift * y / height, width), (y, height)):
            angle = 2 * math.pi * position / length
            circles += [length * angle.cos(), length * angle.sin()]
        return torch.stack(circles, dim=1) / (2 * math.pi)


def spread(
    grid: Grid, neighborhood: str, radius: float, sums: Tensor, *, absolute: bool = False
) -> Tensor:
    """Return what each unit receives from all units: the neighbourhood matrix times `sums`.

    A Gaussian on a rectangular map is one of the rows times one of the columns, and is
    applied as two small products. Any other matrix is made some rows at a time.

    Parameters
    ----------
    grid : Grid
        The map.
    neighborhood : str
        A key of `NEIGHBORHOODS`.
    radius : float
        With 0, each unit receives only what is its own.
    sums : Tensor of shape (n_units, n_columns)
        What each unit has to give.
    absolute : bool
        Whether to take the absolute values of the matrix.

    Returns
    -------
    Tensor of shape (n_units, n_columns)
    """
    if radius == 0:
        return sums
    reach = NEIGHBORHOODS[neighborhood]
    if neighborhood == "gaussian" and not grid.hexagonal:
        n_rows, n_columns = grid.shape
        down, across = (
            reach(_ring_distances(n, grid.toroidal, sums) ** 2, radius) for n in grid.shape
        )
        spread_down = (down @ sums.view(n_rows, -1)).view(n_rows, n_columns, -1)
        return (across @ spread_down).flatten(0, 1)
    received = torch.empty_like(sums)
    positions = grid.positions(sums)
    for block in torch.arange(grid.n_units).split(chunk_rows(grid.n_units, sums.device)):
        units = slice(int(block[0]), int(block[-1]) + 1)
        matrix = reach(grid.squared_distances(positions[units]), radius)
        torch.mm(matrix.abs_() if absolute else matrix, sums, out=received[units])
    return received


def _ring_distances(n: int, closed: bool, like: Tensor) -> Tensor:
    """Return the distances between n points in a row, or on a ring."""
    place = torch.arange(n, dtype=like.dtype, device=like.device)
    distances = (place[:, None] - place).abs()
    return torch.minimum(distances, n - distances) if closed else distances
