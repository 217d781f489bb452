"""Series of time steps, their windows, and what is known of windows brought back to steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.utils import gen_batches, get_tags
from sklearn.utils.validation import validate_data

from .._compute import DENSE_NUMBERS
from .._validation import clear_errors, from_torch, shape_of


def is_list_of_series(X: Any) -> bool:
    """Return whether `X` is a list or tuple of arrays, frames or tensors, and not of numbers."""
    return (
        isinstance(X, list | tuple)
        and len(X) > 0
        and all(getattr(series, "ndim", 0) > 0 for series in X)
    )


def validated_series(estimator: Any, X: Any, *, reset: bool, least: int) -> list[np.ndarray]:
    """Check one series or a list of them, and return them as arrays of (n_steps, n_channels).

    Parameters
    ----------
    estimator : WindowedDetector
        Whose channels they should have.
    X : array-like of shape (n_steps, n_channels) or (n_steps,), or list of such arrays
        The series.
    reset : bool
        Whether they define the channels of the estimator.
    least : int
        Number of steps that each must have.

    Raises
    ------
    ValueError
        If a series has other channels, is too short, or holds what is no finite number. NaN
        passes where the tag `allow_nan` of the estimator says so.
    """
    many = is_list_of_series(X)
    found = []
    for i, series in enumerate(X if many else [X]):
        name = f"X[{i}]" if many else "X"
        one = _validated(estimator, series, reset=reset and i == 0, name=name)
        if len(one) < least:
            raise ValueError(
                f"{name} has {len(one)} steps, but a window has {least}: leave out series that are "
                "shorter, or take a smaller window."
            )
        found.append(one)
    return found


def _validated(estimator: Any, series: Any, *, reset: bool, name: str) -> np.ndarray:
    if isinstance(series, torch.Tensor):
        series = from_torch(series, name)
    n_axes = len(shape_of(series))
    if n_axes == 1 and (reset or estimator.n_features_in_ == 1):
        series = np.asarray(series)[:, None]
    elif n_axes > 2:
        raise ValueError(
            f"{name} has {n_axes} axes, but a series has two, steps and channels; give several "
            "series as a list: list(X)."
        )
    allow_nan = get_tags(estimator).input_tags.allow_nan
    with clear_errors(estimator, series, name):
        return validate_data(
            estimator,
            series,
            reset=reset,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan" if allow_nan else True,
        )


def starts_of(n_steps: int, window: int, stride: int) -> np.ndarray:
    """Return where the windows of a series start; the last one ends with the series."""
    last = n_steps - window
    starts = np.arange(0, last + 1, stride)
    return starts if starts[-1] == last else np.append(starts, last)


def windows_of(series: np.ndarray, window: int, starts: np.ndarray) -> np.ndarray:
    """Return windows of a series, of shape (n_windows, n_channels, window)."""
    return sliding_window_view(series, window, axis=0)[starts]


def to_steps(
    function: Callable[[np.ndarray], np.ndarray], series: np.ndarray, window: int, stride: int
) -> np.ndarray:
    """Return for each step the mean over the windows that it is in, a chunk of these at a time.

    Parameters
    ----------
    function : callable
        From windows, of shape (n_windows, n_channels, window), to an array of shape (n_windows,
        n_values, window), or (n_windows, n_values, 1) for what is the same at all of its steps.
    series : ndarray of shape (n_steps, n_channels)
        The series.
    window, stride : int
        Steps of a window, and from one to the next.

    Returns
    -------
    ndarray of shape (n_steps, n_values)
    """
    starts = starts_of(len(series), window, stride)
    total: Any = 0.0
    count = np.zeros(len(series))
    for some in chunks(starts, window * series.shape[1]):
        values = function(windows_of(series, window, some))
        if np.ndim(total) == 0:
            total = np.zeros((len(series), values.shape[1]), dtype=values.dtype)
        for step in range(window):  # each window starts elsewhere, so that none is lost
            total[some + step] += values[:, :, min(step, values.shape[2] - 1)]
            count[some + step] += 1
    return total / count[:, None].astype(total.dtype)


def chunks(starts: np.ndarray, n_numbers: int) -> Iterator[np.ndarray]:
    """Yield where some windows start, as many as memory takes, each of `n_numbers`."""
    return (starts[chunk] for chunk in gen_batches(len(starts), max(1, DENSE_NUMBERS // n_numbers)))


def scaled(windows: np.ndarray) -> np.ndarray:
    """Return windows with each channel of each brought to mean 0 and standard deviation 1.

    A channel that is constant in a window is 0 there.
    """
    known = ~np.isnan(windows)
    n_known = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    mean = np.where(known, windows, 0).sum(axis=-1, keepdims=True) / n_known
    centred = windows - mean.astype(windows.dtype)
    deviations = np.where(known, centred, 0)
    unit = np.abs(deviations).max(axis=-1, keepdims=True)  # whose square may be too large
    unit = np.where(unit > 0, unit, 1)
    square = np.square(deviations / unit).sum(axis=-1, keepdims=True) / n_known
    deviation = unit * np.sqrt(square)
    rounding = 10 * np.finfo(windows.dtype).eps * np.abs(mean)
    return centred / np.where(deviation <= rounding, 1, deviation).astype(windows.dtype)
