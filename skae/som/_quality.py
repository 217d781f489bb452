"""How well a map stands for rows, and how well it keeps their neighbourhoods."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from sklearn import manifold
from sklearn.utils.validation import check_is_fitted

from .._validation import validate_rows
from .._warn import warn
from ._som import SelfOrganizingMap


def quantization_error(som: SelfOrganizingMap, X: Any, sample_weight: Any = None) -> float:
    """Return the mean distance of rows from the prototypes of their winners.

    Parameters
    ----------
    som : SelfOrganizingMap
        A fitted map.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row in the mean.

    Returns
    -------
    float
        Minus the score of the map.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import SelfOrganizingMap
    >>> from skae.som import quantization_error
    >>> X = load_iris().data
    >>> small, large = (SelfOrganizingMap(shape).fit(X) for shape in ((2, 2), (8, 8)))
    >>> quantization_error(large, X) < quantization_error(small, X)
    True
    """
    return -som.score(X, sample_weight=sample_weight)


def topographic_error(som: SelfOrganizingMap, X: Any) -> float:
    """Return the part of the rows whose two nearest prototypes are not of adjacent units.

    A unit inside the map is adjacent to eight others, or to six on a hexagonal one; at the
    border of a toroidal map also to those at the opposite border.

    Parameters
    ----------
    som : SelfOrganizingMap
        A fitted map of at least two units.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    float
        From 0, where the map keeps all neighbourhoods, to 1.

    Raises
    ------
    ValueError
        If the map has one unit.

    References
    ----------
    K. Kiviluoto, Topology preservation in self-organizing maps, ICNN 1996.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import SelfOrganizingMap
    >>> from skae.som import topographic_error
    >>> X = load_iris().data
    >>> topographic_error(SelfOrganizingMap((2, 2)).fit(X), X)  # each is adjacent to each
    0.0
    """
    check_is_fitted(som)
    _check_units(som, 2)
    first, second = som._read(X, lambda module, x: module.two_winners(x)).astype(int).T
    adjacent = som.module_.grid.adjacent(_positions(som)).numpy()
    return float(1 - adjacent[first, second].mean())


def trustworthiness(som: SelfOrganizingMap, X: Any, *, n_neighbors: int = 5) -> float:
    """Return to what extent rows that are close on the map are close in truth.

    This is `sklearn.manifold.trustworthiness` of the positions of the winners. It holds
    the distances between all rows.

    Parameters
    ----------
    som : SelfOrganizingMap
        A fitted map.
    X : array-like of shape (n_samples, n_features)
        Rows.
    n_neighbors : int, default=5
        Number of nearest neighbours, less than half of the rows.

    Returns
    -------
    float
        From 0 to 1, which is best.

    References
    ----------
    J. Venna and S. Kaski, Neighborhood preservation in nonlinear projection methods: an
    experimental study, ICANN 2001.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import SelfOrganizingMap
    >>> from skae.som import trustworthiness
    >>> X = load_iris().data
    >>> trustworthiness(SelfOrganizingMap((8, 5)).fit(X), X) > 0.9
    True
    """
    X, places = _places(som, X)
    return float(manifold.trustworthiness(X, places, n_neighbors=n_neighbors))


def neighborhood_preservation(som: SelfOrganizingMap, X: Any, *, n_neighbors: int = 5) -> float:
    """Return to what extent rows that are close in truth are close on the map.

    The counterpart of `trustworthiness`, also called continuity: the same with the roles
    of rows and map changed.

    Parameters
    ----------
    som : SelfOrganizingMap
        A fitted map.
    X : array-like of shape (n_samples, n_features)
        Rows.
    n_neighbors : int, default=5
        Number of nearest neighbours, less than half of the rows.

    Returns
    -------
    float
        From 0 to 1, which is best.

    References
    ----------
    J. Venna and S. Kaski, Neighborhood preservation in nonlinear projection methods: an
    experimental study, ICANN 2001.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skae import SelfOrganizingMap
    >>> from skae.som import neighborhood_preservation
    >>> X = load_iris().data
    >>> neighborhood_preservation(SelfOrganizingMap((8, 5)).fit(X), X) > 0.9
    True
    """
    X, places = _places(som, X)
    return float(manifold.trustworthiness(places, X, n_neighbors=n_neighbors))


def topographic_product(som: SelfOrganizingMap) -> float:
    """Return whether the map has the dimension of what its prototypes lie on.

    It compares, for each unit, its nearest units on the map with those that have the nearest
    prototypes, by the distances on either side.

    Parameters
    ----------
    som : SelfOrganizingMap
        A fitted map of at least two units.

    Returns
    -------
    float
        About 0 if the neighbourhoods agree, negative if the map has too few dimensions, and
        positive if it has too many. NaN if all prototypes coincide.

    Raises
    ------
    ValueError
        If the map has one unit.

    Warns
    -----
    UserWarning
        If all prototypes coincide, as they do where all training rows are equal.

    References
    ----------
    H.-U. Bauer and K. R. Pawelzik, Quantifying the neighborhood preservation of
    self-organizing feature maps, IEEE Transactions on Neural Networks 3 (1992).

    Examples
    --------
    >>> import numpy as np
    >>> from skae import SelfOrganizingMap
    >>> from skae.som import topographic_product
    >>> line = np.linspace([0, 0, 0], [1, 1, 1], 200)
    >>> som = SelfOrganizingMap((10, 1)).fit(line)
    >>> abs(topographic_product(som)) < 0.01
    True
    """
    check_is_fitted(som)
    _check_units(som, 2)
    n_units = som.module_.grid.n_units
    on_map = som.module_.grid.squared_distances(_positions(som)).sqrt().numpy()
    in_truth = som._distances_between_units()
    if not in_truth.any():
        warn(
            "All prototypes of the map coincide, so that none is nearer than another; "
            "topographic_product is nan."
        )
        return math.nan
    # Prototypes closer than the rounding of float32 count as coincident.
    in_truth = np.maximum(in_truth, np.finfo(np.float32).eps * in_truth.max())
    units = np.arange(n_units)[:, None]
    neighbours = []
    for distances in (on_map, in_truth):
        alone = distances.copy()
        np.fill_diagonal(alone, -1)  # each unit is first in its own order
        neighbours.append(np.argsort(alone, axis=1, kind="stable")[:, 1:])
    by_map, by_truth = neighbours
    ratios = np.log(in_truth[units, by_map]) - np.log(in_truth[units, by_truth])
    ratios += np.log(on_map[units, by_map]) - np.log(on_map[units, by_truth])
    n_nearest = np.arange(1, n_units)
    return float((ratios.cumsum(axis=1) / (2 * n_nearest)).mean())


def _positions(som: SelfOrganizingMap) -> torch.Tensor:
    return torch.from_numpy(som.grid_positions_)


def _check_units(som: SelfOrganizingMap, least: int) -> None:
    if som.module_.grid.n_units < least:
        raise ValueError(f"A map of one unit has no neighbourhoods; shape is {som.shape_}.")


def _places(som: SelfOrganizingMap, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return rows, and where their winners lie."""
    winners = som.predict(X)
    X = validate_rows(som, X, reset=False)
    return X, som.module_.grid.layout(_positions(som)).numpy()[winners]
