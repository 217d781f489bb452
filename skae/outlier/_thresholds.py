"""Rules that draw a threshold from scores."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from scipy.stats import norm

# Of fewer scores the rule of "auto" says nothing.
_FEWEST = 5


def mean_threshold(scores: np.ndarray, n_std: float = 3.0) -> float:
    """Return the mean score less `n_std` standard deviations.

    For scores that are minus an error this is the classical rule that an error is too
    large above its mean plus some standard deviations. It suits clean training rows:
    outliers among them move both the mean and the standard deviation.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Scores, higher for more normal rows.
    n_std : float, default=3.0
        Number of standard deviations.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from skae.outlier import mean_threshold
    >>> mean_threshold(np.array([-1.0, -2.0, -3.0, -2.0]), n_std=2)
    -3.414...
    """
    return float(scores.mean() - n_std * scores.std())


def median_threshold(scores: np.ndarray, n_deviations: float = 2.5) -> float:
    """Return the median score less `n_deviations` times a robust standard deviation.

    The latter is 1.4826 times the median of the deviations of the scores below the median,
    which is the standard deviation if these are normal. The scores above the median are
    left aside, since scores reach further down than up. Scores below the threshold are then left
    out, and median and deviation of the others are those of normal scores cut off there,
    until no further score is below: so outliers among the rows hardly move the threshold,
    if they are fewer than a quarter.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Scores, higher for more normal rows.
    n_deviations : float, default=2.5
        Number of robust standard deviations.

    Returns
    -------
    float

    References
    ----------
    C. Leys, C. Ley, O. Klein, P. Bernard and L. Licata, Detecting Outliers: Do Not Use
    Standard Deviation Around the Mean, Use Absolute Deviation Around the Median, Journal of
    Experimental Social Psychology 49 (2013).

    Examples
    --------
    >>> import numpy as np
    >>> from skae.outlier import median_threshold
    >>> scores = np.array([-1.0, -2.0, -3.0, -4.0, -1000.0])
    >>> median_threshold(scores, n_deviations=2)
    -5.619...
    """
    threshold, share_below = -np.inf, 0.0
    while True:
        kept = scores[scores >= threshold]
        median = np.median(kept)
        if not np.isfinite(median):  # of scores half of which are minus infinity, or of none
            return float(median)
        deviation = np.median(median - kept[kept <= median])
        # Where the two lie of a standard normal distribution whose lowest part is cut off.
        middle, quarter = norm.ppf(share_below + (1 - share_below) * np.array([0.5, 0.25]))
        new = median - (middle + n_deviations) * deviation / (middle - quarter)
        if new <= threshold:
            return float(threshold)
        threshold, share_below = new, norm.cdf(-n_deviations)


def threshold_of(
    contamination: Any, scores: np.ndarray, calibration: np.ndarray | None = None
) -> float:
    """Return the score below which a row is an outlier.

    Parameters
    ----------
    contamination : "auto", float or callable
        As in `OutlierDetector`.
    scores : ndarray of shape (n_samples,)
        Scores of the training rows.
    calibration : ndarray of shape (n_calibration,), default=None
        Scores of the calibration rows if there are any, in ascending order, which then count.

    Raises
    ------
    ValueError
        If the threshold of a callable is not a finite number, or above all scores.
    """
    if calibration is not None:
        scores = calibration
    if not isinstance(contamination, Real):
        rule = median_threshold if contamination == "auto" else contamination
        threshold = rule(scores)
    elif calibration is None:
        threshold = np.quantile(scores, float(contamination))
    else:  # a row is below where its p-value is at most `contamination`
        threshold = scores[_rank(float(contamination), len(scores)) - 1]
    return _checked(threshold, scores, contamination)


def check_enough(contamination: Any, n_calibration: int, given: str) -> None:
    """Refuse too few calibration rows for a threshold; `given` says in words how they came."""
    if contamination == "auto" and n_calibration < _FEWEST:
        raise ValueError(
            f'contamination="auto" needs {_FEWEST} calibration rows or more, but {given} gives '
            f"{n_calibration}; increase either."
        )
    if isinstance(contamination, Real) and _rank(float(contamination), n_calibration) == 0:
        needed = int(np.ceil(1 / float(contamination) - 1e-9)) - 1
        raise ValueError(
            f"contamination={contamination} needs {needed} calibration rows or more, but {given} "
            f"gives {n_calibration}; increase either."
        )


def _rank(contamination: float, n_calibration: int) -> int:
    """Return how many p-values that a new normal row can have are `contamination` or less."""
    # Without the small number, 0.07 * 100 has the floor 7 but 0.29 * 100 that of 28.
    return int(np.floor(contamination * (n_calibration + 1) + 1e-9))


def _checked(threshold: Any, scores: np.ndarray, contamination: Any) -> float:
    """Return a threshold; refuse what is none."""
    problem = None
    if not isinstance(threshold, Real) or isinstance(threshold, bool | np.bool_):
        problem = f"gives {threshold!r} rather than a number"
    elif not np.isfinite(float(threshold)):
        problem = f"gives the threshold {threshold}, which is not a finite number"
    elif float(threshold) > scores.max():
        problem = f"gives the threshold {threshold:.6g}, above all scores"
    if problem is None:
        return float(threshold)
    raise ValueError(
        f"contamination={contamination!r} {problem}; a callable takes the scores, which go from "
        f"{scores.min():.6g} to {scores.max():.6g} here, and returns the one below which a row is "
        "an outlier."
    )
