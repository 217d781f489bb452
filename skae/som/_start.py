"""The size of a map, and its first prototypes, from the training rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from .._compute import limit_threads
from .._training import as_tensor, to_dense
from ._grid import Grid

# Enough for the two leading directions of any data whose eigenvalues are not close to each
# other; where they are, any mixture of their directions is as good a start.
_SPARE_DIRECTIONS = 8
_N_POWERS = 8


def principal_plane(
    X: np.ndarray | sparse.csr_matrix, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean of weighted rows and their two leading directions.

    By orthogonal iteration with implicit centring: scikit-learn's PCA takes no weights.

    Returns
    -------
    mean : ndarray of shape (n_features,)
    directions : ndarray of shape (2, n_features)
        Of unit length, their largest entry positive. The second one is 0 for one feature.
    deviations : ndarray of shape (2,)
        The standard deviation of the rows along each.
    """
    n_features = X.shape[1]
    w = as_tensor((weight / weight.sum()).astype(X.dtype))[:, None]
    times, transpose_times = _products(X)

    def covariance_times(Q: Tensor) -> Tensor:
        weighted = w * (times(Q) - mean.T @ Q)
        return transpose_times(weighted) - mean * weighted.sum(0)

    size = min(n_features, 2 + _SPARE_DIRECTIONS)
    # Always the same numbers: what they are makes no difference to the plane.
    Q = as_tensor(np.random.RandomState(0).normal(size=(n_features, size)).astype(X.dtype))
    with limit_threads(0):  # more threads could round differently
        mean = transpose_times(w)
        for _ in range(_N_POWERS):
            Q, _ = torch.linalg.qr(covariance_times(Q))
        variances, rotation = torch.linalg.eigh(Q.T @ covariance_times(Q))
        found = (Q @ rotation[:, -2:].flip(1)).T.numpy()
    directions, deviations = np.zeros((2, n_features)), np.zeros(2)
    largest = np.abs(found).argmax(axis=1)
    found *= np.sign(found[np.arange(len(found)), largest])[:, None]
    directions[: len(found)] = found
    deviations[: len(found)] = variances[-2:].flip(0).clamp_min(0).sqrt().numpy()
    return mean[:, 0].numpy(), directions, deviations


def _products(
    X: np.ndarray | sparse.csr_matrix,
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Return the products of rows with a matrix, and of their transpose with one."""
    if sparse.issparse(X):
        return (
            lambda Q: torch.from_numpy(X @ Q.numpy()),
            lambda P: torch.from_numpy(X.T @ P.numpy()),
        )
    rows = as_tensor(X)
    return lambda Q: rows @ Q, lambda P: rows.T @ P


def automatic_shape(n_rows: float, deviations: np.ndarray, hexagonal: bool) -> tuple[int, int]:
    """Return a map of about 5 sqrt(n) units, as oblong as the data (Vesanto et al. 2000)."""
    n_units = 5 * math.sqrt(n_rows)
    aspect = deviations[0] / deviations[1] if deviations[1] > 0 else n_units
    aspect /= math.sqrt(3) / 2 if hexagonal else 1  # in units: hexagonal rows lie closer
    short = min(n_units, max(1.0, math.sqrt(n_units / aspect)))
    n_columns = max(1, round(short))
    return max(1, round(n_units / n_columns)), n_columns


def default_radii(init: Any, shape: tuple[int, int]) -> tuple[float, float]:
    """Return the first and the last radius: a map that starts in order needs less of it."""
    ordered = isinstance(init, str) and init == "pca"
    return max(1.0, max(shape) / (2.5 if ordered else 2)), 0.25


def first_prototypes(
    init: Any,
    grid: Grid,
    X: np.ndarray | sparse.csr_matrix,
    weight: np.ndarray,
    random_state: np.random.RandomState,
    plane: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> Tensor:
    """Return prototypes of shape (n_units, n_features) in float32.

    Parameters
    ----------
    init : {"pca", "sample", "random"} or ndarray of shape (n_units, n_features)
        See `SelfOrganizingMap`; prototypes are relative to the same point as the rows.
    grid : Grid
        The map.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Training rows without missing entries.
    weight : ndarray of shape (n_samples,)
        Their weights.
    random_state : RandomState
        The source of what is drawn.
    plane : tuple of ndarray, optional
        The `principal_plane` of the rows, if it is known.
    """
    if not isinstance(init, str):
        prototypes = init
        if prototypes.shape != (grid.n_units, X.shape[1]):
            raise ValueError(
                f"init has shape {prototypes.shape}, but the map has {grid.n_units} units and X "
                f"has {X.shape[1]} features."
            )
    elif init == "sample":
        few = X.shape[0] < grid.n_units
        chosen = random_state.choice(X.shape[0], grid.n_units, replace=few, p=weight / weight.sum())
        rows = X[chosen]
        prototypes = to_dense(rows)
    elif init == "random":
        low, high = (
            extreme.toarray().ravel() if sparse.issparse(extreme) else extreme
            for extreme in (X.min(axis=0), X.max(axis=0))
        )
        prototypes = random_state.uniform(low, high, size=(grid.n_units, X.shape[1]))
    else:
        mean, directions, deviations = plane or principal_plane(X, weight)
        # The longer side of the map along the first direction, from one standard deviation
        # below the mean to one above it; the other side in proportion to the second one.
        positions = grid.positions(torch.empty(0, dtype=torch.float64)).numpy()
        extent = np.ptp(positions, axis=0)
        centred = (positions - positions.min(axis=0)) / np.where(extent > 0, extent, 1) * 2 - 1
        centred[:, extent == 0] = 0
        if extent[1] > extent[0]:
            centred = centred[:, ::-1]
        prototypes = mean + (centred * deviations) @ directions
    return torch.from_numpy(np.ascontiguousarray(prototypes, dtype=np.float32))
