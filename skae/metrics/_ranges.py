"""Measures of scores of time steps where faults last, and their labels are not exact."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d


def range_auc_pr(y_true: Any, y_score: Any, buffer: int = 100) -> float:
    """Return the range-aware area under the precision-recall curve of scores of time steps.

    Steps just outside of a fault count in part, since nobody knows to the step where it begins
    and a window reaches beyond it. At a distance d from the fault, up to half of `buffer`, a step
    has the weight ``sqrt(1 - d / buffer)``, and within it 1. At each threshold, with the sum of
    weights D over the detected steps, B that of the detected steps in buffers, and P steps of
    faults,

    - precision is D over the number of detected steps;
    - recall is ``D / (P + B / 2)``, at most 1, times the fraction of faults, each with its
      buffer, that have a detected step. Faults whose buffers overlap count as one.

    The area is the sum of precisions times the steps of recall, as in
    `sklearn.metrics.average_precision_score`, which is the limit for one fault and a buffer
    of 0.

    Parameters
    ----------
    y_true : array-like of shape (n_steps,)
        1 (or True) for steps of faults and 0 for others, in the order of time.
    y_score : array-like of shape (n_steps,)
        How strange each step is, higher for stranger: minus the scores of a detector of this
        package.
    buffer : int, default=100
        Number of steps, half of which are on either side of a fault; 0 or more. The length of a
        window or a period is usual.

    Returns
    -------
    float
        Between 0 and 1, which is reached where all steps of faults have higher scores than all
        others.

    Raises
    ------
    ValueError
        If `y_true` holds other values or no fault, the lengths differ, a score is not finite, or
        `buffer` is not an int of 0 or more.

    See Also
    --------
    vus_pr : The mean over buffers.

    Notes
    -----
    This is the definition with which the authors publish their figures (Boniol et al. 2025). At
    first (Paparrizos et al. 2022) all of the buffers counted in the recall, so that a detector that
    is exactly right fell short of 1. All distinct scores are thresholds here; the program of
    the authors takes 250 of them.

    References
    ----------
    J. Paparrizos, P. Boniol, T. Palpanas, R. Tsay, A. Elmore and M. Franklin, Volume Under the
    Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly Detection, PVLDB 15 (2022).

    P. Boniol et al., VUS: Effective and Efficient Accuracy Measures for Time-Series Anomaly
    Detection, VLDB Journal 34 (2025).

    Examples
    --------
    >>> from skae.metrics import range_auc_pr
    >>> early = [0, 0, 1, 1, 0, 0, 0, 0], [0, 9, 8, 0, 0, 0, 0, 0]
    >>> round(range_auc_pr(*early, buffer=0), 3), round(range_auc_pr(*early, buffer=4), 3)
    (0.375, 0.842)
    """
    return _Ranked(y_true, y_score).area(_checked_buffer("buffer", buffer))


def vus_pr(y_true: Any, y_score: Any, max_buffer: int = 100) -> float:
    """Return the volume under the precision-recall surface of scores of time steps.

    That is the mean of `range_auc_pr` over buffers of 0, 1, ..., `max_buffer` steps.

    Parameters
    ----------
    y_true : array-like of shape (n_steps,)
        1 (or True) for steps of faults and 0 for others, in the order of time.
    y_score : array-like of shape (n_steps,)
        How strange each step is, higher for stranger: minus the scores of a detector of this
        package.
    max_buffer : int, default=100
        Largest buffer, 0 or more. The length of a window or a period is usual. Compare figures of
        one buffer.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    ValueError
        As of `range_auc_pr`.

    References
    ----------
    J. Paparrizos, P. Boniol, T. Palpanas, R. Tsay, A. Elmore and M. Franklin, Volume Under the
    Surface: A New Accuracy Evaluation Measure for Time-Series Anomaly Detection, PVLDB 15 (2022).

    Examples
    --------
    >>> from skae.metrics import vus_pr
    >>> vus_pr([0, 0, 1, 1, 0, 0], [0, 1, 8, 9, 2, 0], max_buffer=2)
    1.0
    """
    ranked = _Ranked(y_true, y_score)
    largest = _checked_buffer("max_buffer", max_buffer)
    return float(np.mean([ranked.area(buffer) for buffer in range(largest + 1)]))


class _Ranked:
    """Labels and scores of time steps, sorted once for all buffers."""

    def __init__(self, y_true: Any, y_score: Any):
        labels = column_or_1d(y_true)
        score = column_or_1d(y_score, dtype=np.float64)
        check_consistent_length(labels, score)
        if not np.isin(labels, (0, 1)).all() or not labels.any():
            raise ValueError("y_true must hold 0 and 1 alone, and 1 at least once.")
        if not np.isfinite(score).all():
            raise ValueError("y_score must hold finite numbers.")
        self.is_fault, self.score = labels.astype(bool), score
        edges = np.flatnonzero(np.diff(np.r_[0, self.is_fault.astype(int), 0]))
        self.starts, self.stops = edges[::2], edges[1::2]
        self.order = np.argsort(-score, kind="stable")
        descending = score[self.order]
        #: Index of the last step of each distinct score, which are the thresholds.
        self.last = np.flatnonzero(np.diff(descending, append=-np.inf))
        self.thresholds = descending[self.last]

    def area(self, buffer: int) -> float:
        """Return the area under the precision-recall curve for a buffer."""
        weights = self._weights(buffer)
        detected = np.cumsum(weights[self.order])[self.last]
        in_buffers = np.cumsum(np.where(self.is_fault, 0, weights)[self.order])[self.last]
        recall = np.minimum(detected / (self.is_fault.sum() + in_buffers / 2), 1)
        recall *= self._found(buffer // 2)
        precision = detected / (self.last + 1)
        return float(np.sum(np.diff(recall, prepend=0) * precision))

    def _weights(self, buffer: int) -> np.ndarray:
        n_steps, half = len(self.score), buffer // 2
        weights = self.is_fault.astype(np.float64)
        distance = np.arange(1, half + 1)
        slope = np.sqrt(1 - distance / buffer) if half else np.empty(0)
        for start, stop in zip(self.starts, self.stops, strict=True):
            before, after = min(half, start), min(half, n_steps - stop)
            weights[start - before : start] += slope[:before][::-1]
            weights[stop : stop + after] += slope[:after]
        return np.minimum(weights, 1)

    def _found(self, half: int) -> np.ndarray:
        """Return the fraction of faults that reach each threshold, within their buffers."""
        is_first = np.r_[True, self.starts[1:] - half >= self.stops[:-1] + half]
        starts = np.maximum(self.starts[is_first] - half, 0)
        stops = self.stops[np.r_[is_first[1:], True]] + half
        highest = [self.score[i:j].max() for i, j in zip(starts, stops, strict=True)]
        below = np.searchsorted(np.sort(highest), self.thresholds, side="left")
        return 1 - below / len(highest)


def _checked_buffer(name: str, buffer: Any) -> int:
    if not isinstance(buffer, Integral) or isinstance(buffer, bool) or buffer < 0:
        raise ValueError(f"{name} must be an int of 0 or more, got {buffer!r}.")
    return int(buffer)
