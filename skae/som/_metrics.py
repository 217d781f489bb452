"""Distances of rows from prototypes. A missing entry of a row is NaN, and left out."""

from __future__ import annotations

import torch
from torch import Tensor

from ..losses import powers_of_differences

#: Names of the distances.
METRICS = ("euclidean", "cosine", "manhattan")

# Lengths below this are taken for it where they divide.
_TINY = 1e-30


def has_gaps(x: Tensor) -> bool:
    """Whether some entry is missing."""
    return bool(x.sum().isnan())


def prepared(x: Tensor, metric: str) -> Tensor:
    """Return rows or prototypes as they are compared: at unit length, with the cosine metric."""
    if metric != "cosine":
        return x
    return x / x.nan_to_num().norm(dim=1, keepdim=True).clamp_min(1e-12)


def distances(x: Tensor, codebook: Tensor, metric: str) -> Tensor:
    """Return the distances of rows from all prototypes, which do not depend on the other rows.

    Parameters
    ----------
    x : Tensor of shape (n, n_features)
        Prepared rows.
    codebook : Tensor of shape (n_units, n_features)
        Prepared prototypes.
    metric : str
        One of `METRICS`.

    Returns
    -------
    Tensor of shape (n, n_units)
        Where entries are missing, as if the others stood for them.
    """
    if has_gaps(x):
        return _distances_with_gaps(x, codebook, metric)
    if metric == "manhattan":
        return torch.cdist(x, codebook, p=1)
    # Exact: a matrix product would make a distance depend on the other rows.
    found = torch.cdist(x, codebook, compute_mode="donot_use_mm_for_euclid_dist")
    return found.square_().div_(2) if metric == "cosine" else found


def _distances_with_gaps(x: Tensor, codebook: Tensor, metric: str) -> Tensor:
    if metric == "cosine":
        norms = ((~x.isnan()).to(x.dtype) @ codebook.square().T).sqrt()
        return 1 - x.nan_to_num() @ codebook.T / norms.clamp_min(_TINY)
    if metric == "manhattan":
        return powers_of_differences(x, codebook, 1)
    return powers_of_differences(x, codebook, 2).sqrt_()


def distances_to(x: Tensor, prototypes: Tensor, metric: str, *, gaps: bool) -> Tensor:
    """Return the distance of each row from a prototype of its own, of shape (n,).

    Parameters
    ----------
    x : Tensor of shape (n, n_features)
        Prepared rows.
    prototypes : Tensor of shape (n, n_features)
        One for each row; they are written over.
    metric : str
        One of `METRICS`.
    gaps : bool
        Whether entries are missing.
    """
    if metric == "cosine" and gaps:
        norms = torch.where(x.isnan(), 0, prototypes).norm(dim=1)
        return 1 - (x.nan_to_num() * prototypes).sum(1) / norms.clamp_min(_TINY)
    difference = prototypes.sub_(x)
    if gaps:
        difference = difference.nan_to_num_()
    power = 1 if metric == "manhattan" else 2
    found = torch.linalg.vector_norm(difference, power, dim=1)
    if gaps:
        found /= (~x.isnan()).to(x.dtype).mean(1).pow_(1 / power)
    return found.square_().div_(2) if metric == "cosine" else found


def energies(distances: Tensor, metric: str) -> Tensor:
    """Return distances as the exponent of a density has them: half the square, if Euclidean.

    The others are exponents as they are: "cosine" is half a square already, and "manhattan"
    that of a Laplace density.
    """
    return distances.square() / 2 if metric == "euclidean" else distances
