"""Windows of series and images, and what is pooled over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

#: What is pooled over the windows of a part, beside the proportion above a threshold.
POOLINGS: dict[str, Callable[..., np.ndarray]] = {"max": np.max, "mean": np.mean}

# What is added to the variance of a window, where that of all windows is 1.
_LEAST_VARIANCE = 0.01


def window_of(window: int, axes: Sequence[int]) -> tuple[int, ...]:
    """Return the sides of a window, none longer than the axis that it lies along."""
    return tuple(min(window, length) for length in axes)


def powers_of_two(sides: Sequence[int], axes: Sequence[int]) -> list[int]:
    """Return the dilations 1, 2, 4, ... with which a window spans at most 0.8 of each axis.

    Along an axis that a window of the smallest dilation covers, the others need not fit.
    """
    dilations = [1]
    while _fits(2 * dilations[-1], sides, axes):
        dilations.append(2 * dilations[-1])
    return dilations


def _fits(dilation: int, sides: Sequence[int], axes: Sequence[int]) -> bool:
    spans = [(side - 1) * dilation + 1 for side in sides]
    return max(sides) > 1 and all(
        span <= 0.8 * length for span, length in zip(spans, axes, strict=True)
    )


def windows_of(samples: np.ndarray, sides: Sequence[int], dilation: int) -> np.ndarray:
    """Return all windows of samples.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_channels, *axes)
        Series or images.
    sides : sequence of int
        Number of steps of a window along each of the axes.
    dilation : int
        Steps from one entry of a window to the next.

    Returns
    -------
    ndarray of shape (n_samples, *positions, n_channels, *sides)
        A view of the samples.
    """
    n_axes = len(sides)
    spans = [(side - 1) * dilation + 1 for side in sides]
    views = sliding_window_view(samples, spans, axis=tuple(range(2, 2 + n_axes)))
    every: Any = (..., *[slice(None, None, dilation)] * n_axes)
    return np.moveaxis(views[every], 1, 1 + n_axes)


def root_mean_square(values: np.ndarray) -> float:
    """Return it, whatever the size of the values; 1 if all are 0."""
    # By a power of two, which is exact: the squares neither overflow nor vanish.
    power = np.ldexp(1.0, np.frexp(np.abs(values).max())[1] - 1)
    return float(power * np.sqrt(np.square(values / power, dtype=np.float64).mean())) or 1.0


def scaled(windows: np.ndarray, scaling: str | None, n_axes: int, unit: float) -> np.ndarray:
    """Return windows scaled as a learner takes them.

    Parameters
    ----------
    windows : ndarray of shape (..., n_channels, *sides)
        Not changed.
    scaling : {"center", "standard"} or None
        "center" subtracts its mean from each channel of each window; "standard" divides it by its
        standard deviation too, to which a little is added, so that noise around a constant stays
        small. None does neither.
    n_axes : int
        Number of the sides.
    unit : float
        What all windows are divided by: the usual size of their entries.
    """
    axes = tuple(range(-n_axes, 0))
    if scaling is not None:
        windows = windows - windows.mean(axis=axes, keepdims=True)
    windows = windows / windows.dtype.type(unit)
    if scaling != "standard":
        return windows
    variance = np.square(windows).mean(axis=axes, keepdims=True)
    return windows / np.sqrt(variance + windows.dtype.type(_LEAST_VARIANCE))


def pooled(
    codes: np.ndarray, thresholds: np.ndarray, pooling: Sequence[str], n_parts: int
) -> np.ndarray:
    """Return what is pooled over the windows of each part of each sample.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, *positions, n_components)
        Codes of the windows.
    thresholds : ndarray of shape (n_thresholds, n_components)
        For the proportions.
    pooling : sequence of str
        "proportion", "max", "mean".
    n_parts : int
        Number of parts along each axis; an axis with fewer positions has as many parts as these.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
    """
    n_samples, *positions, n_components = codes.shape
    ends = [np.linspace(0, n, min(n_parts, n) + 1).round().astype(int) for n in positions]
    parts = product(*[[slice(*pair) for pair in pairwise(e)] for e in ends])
    found = []
    for part in parts:
        some = codes[(slice(None), *part)].reshape(n_samples, -1, n_components)
        for name in pooling:
            if name == "proportion":
                found += [_proportion(some, threshold) for threshold in thresholds]
            else:
                found.append(POOLINGS[name](some, axis=1))
    return np.concatenate(found, axis=1)


def _proportion(codes: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Return the proportion of windows whose code is above a threshold, for each component."""
    above = (codes > threshold).astype(codes.dtype)
    ones = np.ones((1, codes.shape[1]), codes.dtype)  # numpy adds bools five times slower
    return (ones @ above)[:, 0] / codes.dtype.type(codes.shape[1])
