"""What goes beyond Kohonen's batch rule: each a function, to be used without the others."""

from __future__ import annotations

import torch
from torch import Tensor

from .._compute import chunk_rows
from ._grid import Grid
from ._untangling import untangled

# The radius reaches its end after this part of the epochs.
_FALLING = 0.75

# How many times the way to the means, and until which part of the epochs.
_RELAXATION, _RELAXED = 1.8, 0.85

# Below this radius no neighbour carries along a unit that wins nothing any more, or keeps it in
# its place.
_NARROW = 1.0

# Maps with more units are not untangled: it takes matrices of units by units.
_MOST_UNTANGLED = 2**11


def falling_epochs(n_epochs: int) -> int:
    """Return in how many epochs the radius goes from its start to its end, to be held there.

    So do the two phases of training, ordering and convergence (Kohonen 2001).
    """
    return round(_FALLING * n_epochs)


def is_over_relaxed(epoch: int, n_epochs: int, radius: float) -> bool:
    """Whether prototypes go beyond the means in an epoch: not in the last, which have to settle."""
    return radius > 0 and epoch < int(_RELAXED * n_epochs)


def over_relaxation(codebook: Tensor, means: Tensor) -> Tensor:
    """Return prototypes that go further than to the means, which gets them past poor optima.

    References
    ----------
    X. Xiao, Over-relaxation Lloyd method for computing centroidal Voronoi tessellations,
    University of South Carolina 2010.
    """
    return codebook + _RELAXATION * (means - codebook)


def are_idle_units_revived(epoch: int, n_epochs: int, radius: float) -> bool:
    """Whether idle units are revived in an epoch: not in the last one, whose map stays."""
    return 0 < radius < _NARROW and epoch + 1 < n_epochs


def revival(moved: Tensor, codebook: Tensor, idle: Tensor, energies: Tensor, grid: Grid) -> Tensor:
    """Return prototypes of which those of idle units went to where they are of use.

    Each goes halfway to the adjacent unit with the largest error, and so wins some of its rows
    in the end. Growing neural gas puts new units there.

    Parameters
    ----------
    moved, codebook : Tensor of shape (n_units, n_features)
        The prototypes after and before the epoch.
    idle : Tensor of bool of shape (n_units,)
        Which units win nothing.
    energies : Tensor of shape (n_units,)
        The error of the rows that each unit wins.
    grid : Grid
        The map.

    References
    ----------
    B. Fritzke, A growing neural gas network learns topologies, NIPS 1995.
    """
    if not idle.any():
        return moved
    revived, positions = moved.clone(), grid.positions(moved)
    for units in idle.nonzero()[:, 0].split(chunk_rows(len(moved), moved.device)):
        near = torch.where(grid.adjacent(positions[units]), energies, 0).max(1)
        units, nearest = units[near.values > 0], near.indices[near.values > 0]
        revived[units] = (codebook[units] + moved[nearest]) / 2
    return revived


def are_prototypes_exchanged(epoch: int, n_epochs: int, last_radius: float, n_units: int) -> bool:
    """Whether prototypes change places in an epoch rather than move: in the last of several."""
    last = epoch == n_epochs - 1 > 0
    return last and 0 < last_radius < _NARROW and 2 < n_units <= _MOST_UNTANGLED


def exchange(codebook: Tensor, pairs: Tensor, grid: Grid) -> Tensor:
    """Return the same prototypes in other places, for a smaller topographic error.

    Two at a time change places, a heuristic for quadratic assignment. See `untangled`.

    Parameters
    ----------
    codebook : Tensor of shape (n_units, n_features)
        The prototypes.
    pairs : Tensor of shape (n_units, n_units)
        For each unit, the weight of the rows that it wins by the unit that comes second.
    grid : Grid
        The map.

    References
    ----------
    G. C. Armour and E. S. Buffa, A heuristic algorithm and simulation approach to relative
    location of facilities, Management Science 9 (1963).
    """
    adjacent = grid.adjacent(grid.positions(codebook))
    order = untangled(*(t.numpy(force=True) for t in (adjacent, pairs, codebook)))
    return codebook[torch.from_numpy(order).to(codebook.device)]
