"""Exchanges of prototypes between units, for a smaller topographic error."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.spatial.distance import cdist

# Part of all rows of which a change of places has to make the two nearest units adjacent.
_LEAST_GAIN = 1e-5

# Part by which it may lengthen the links of the two prototypes. With none, fewer rows gain;
# with no bound, similar prototypes end up far apart, and trustworthiness suffers.
_STRETCH = 0.1

# So many times at most is each prototype tried: noise in many features has no end of changes.
_N_PASSES = 2


def untangled(adjacent: np.ndarray, pairs: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
    """Return which unit's prototype each unit is to take over.

    A row is an error, as in the topographic error, if its two nearest prototypes are not of
    adjacent units. One prototype after the other, those with the most errors first, changes
    places with the one that leaves the fewest, unless that removes no error or
    lengthens the links between adjacent prototypes much.

    Parameters
    ----------
    adjacent : ndarray of bool of shape (n_units, n_units)
        Which units are neighbours on the map.
    pairs : ndarray of shape (n_units, n_units)
        For each unit, the weight of the rows that it wins by the unit that comes second.
    prototypes : ndarray of shape (n_units, n_features)
        The prototype of each unit.

    Returns
    -------
    ndarray of shape (n_units,)
        A permutation.
    """
    n_units = len(pairs)
    place = np.arange(n_units)  # of each prototype
    near = adjacent.astype(np.float32)  # whether the places of two prototypes are adjacent
    ties = (pairs + pairs.T).astype(np.float32)
    distances = cdist(prototypes, prototypes).astype(np.float32)
    # What the neighbours of prototype i would be at the place of prototype j, at
    # [i, j]: the weight of rows without an error, and the length of links.
    links = sparse.csr_array(near)  # unlike a dense product, rounds alike with any threads
    intact, length = np.ascontiguousarray(ties @ links), np.ascontiguousarray(distances @ links)
    weight = ties.sum(axis=1)

    def gains(i: int, sums: np.ndarray, between: np.ndarray) -> np.ndarray:
        """Return how much more two prototypes have if i and another one change places."""
        own = sums.diagonal()
        return sums[i] + sums[:, i] - own[i] - own + 2 * between[i] * near[i]

    def best_partner(i: int) -> int | None:
        own, mended = length.diagonal(), gains(i, intact, ties)
        mended[gains(i, length, distances) > _STRETCH * (own[i] + own)] = 0
        j = int(mended.argmax())
        return j if mended[j] > _LEAST_GAIN * weight.sum() else None

    def change_places(i: int, j: int) -> None:
        change, joined = near[j] - near[i], near[i, j]
        change[[i, j]] = 0
        others = np.flatnonzero(change)
        for sums, between in ((intact, ties), (length, distances)):
            of_either = between[:, i] - between[:, j]
            sums[:, others] += of_either[:, None] * change[others]
            at_i, at_j = sums[:, i].copy(), sums[:, j].copy()
            sums[:, i], sums[:, j] = at_j - of_either * joined, at_i + of_either * joined
        near[[i, j]] = near[[j, i]]
        near[:, [i, j]] = near[:, [j, i]]
        place[[i, j]] = place[[j, i]]

    for _ in range(_N_PASSES):
        errors = weight - intact.diagonal()
        changed = False
        for i in np.argsort(-errors, kind="stable")[: np.count_nonzero(errors > 0)].tolist():
            j = best_partner(i)
            if j is not None:
                change_places(i, j)
                changed = True
        if not changed:
            break
    return place.argsort()
