"""Validation of the parameters and rows of a map."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import gen_batches

from .._compute import DENSE_NUMBERS
from .._missing import refuse_empty_rows
from .._training import RowStream, to_dense
from ..layers import is_positive_int

_TO_SQUARE = (
    "X has values whose distances are too {} to be squared in float32; scale X first, for example "
    "with StandardScaler."
)


def checked_shape(shape: Any) -> tuple[int, int] | None:
    """Return the shape of a map, None for "auto"; raise an error if it is not valid."""
    if isinstance(shape, str):
        return None
    sides = tuple(shape)
    if len(sides) != 2 or not all(map(is_positive_int, sides)):
        raise ValueError(
            f"shape must be two positive integers, the rows and the columns of the map, or "
            f"'auto'; got {shape!r}."
        )
    return int(sides[0]), int(sides[1])


def checked_radii(radius: Any, decay: str) -> tuple[float, float] | None:
    """Return the first and the last radius, None for the default; raise an error if not valid."""
    if radius is None:
        return None
    both = (radius, radius) if isinstance(radius, Real) else tuple(radius)
    if len(both) != 2 or not all(map(_is_radius, both)):
        raise ValueError(
            "radius must be a number of at least 0, or two, for the start and the end of the "
            f"training; got {radius!r}."
        )
    if decay == "exponential" and 0 in both and both != (0, 0):
        raise ValueError(
            f"radius={radius!r} cannot decay exponentially, which never reaches 0; set "
            "decay='linear', or an end such as 0.1."
        )
    return float(both[0]), float(both[1])


def _is_radius(value: Any) -> bool:
    of_number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    return of_number and 0 <= float(value) < np.inf


def check_rows(X: np.ndarray | sparse.csr_matrix, metric: str) -> None:
    """Refuse rows whose distances are not defined."""
    refuse_empty_rows(X)
    if metric != "cosine":
        return
    for chunk in gen_batches(X.shape[0], max(1, DENSE_NUMBERS // X.shape[1])):
        zero = ~np.nan_to_num(to_dense(X[chunk])).any(axis=1)
        if zero.any():
            row = chunk.start + int(zero.argmax())
            raise ValueError(
                f"Row {row} of X is all zeros and has no direction, so that metric="
                "'cosine' has no distance for it; leave such rows out, or take another "
                "metric."
            )


def check_not_too_large(X: np.ndarray | sparse.csr_matrix, n_terms: int) -> None:
    """Refuse rows whose squared distances float32 cannot hold, `n_terms` of them added up."""
    # Twice as far from each other as from their centre, and prototypes overshoot by 1.8 times.
    if _largest(X) ** 2 * 16 * n_terms > np.finfo(np.float32).max.item():
        raise ValueError(_TO_SQUARE.format("large"))


def check_not_too_small(X: Any) -> None:
    """Refuse rows all so near to 0, but not at it, that their squares vanish in float32."""
    if 0 < _largest(X) ** 2 < np.finfo(np.float32).tiny.item():
        raise ValueError(_TO_SQUARE.format("small"))


def _largest(X: Any) -> float:
    """Return the largest absolute value."""
    if isinstance(X, RowStream):
        return max(map(_largest, X))
    entries = X if isinstance(X, np.ndarray) else X.data
    if entries.size == 0:
        return 0.0
    return max(
        -np.fmin.reduce(entries, axis=None).item(), np.fmax.reduce(entries, axis=None).item()
    )
