"""Tests of rows against calibration rows: p-values, e-values, and the selection of outliers."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted


class ConformalTests:
    """A mixin for detectors that hold rows out for calibration."""

    calibration_scores_: np.ndarray | None
    score_samples: Callable[[Any], np.ndarray]

    def p_values(self, X: Any) -> np.ndarray:
        """Return the probability that a normal row has a score as low as that of each row.

        It is ``(1 + number of calibration scores as low) / (1 + number of calibration scores)``:
        among normal rows, evenly spread between 0 and 1. Calling a row an outlier where it
        is at most t gives false alarms with probability t or less.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to test.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If no rows were held out for calibration.
        """
        return p_values(self._calibration("p_values"), self.score_samples(X))

    def select_outliers(self, X: Any, fdr: float = 0.1, method: str = "storey") -> np.ndarray:
        """Return which rows are outliers, so that few of those named are normal.

        The expected fraction of normal rows among those selected, the false discovery rate, is
        at most `fdr` for any learner, if the normal rows among `X` are exchangeable with
        the calibration rows. `predict` bounds another figure, the fraction of all normal rows
        that are called outliers: where outliers are rare, most of what it names may be normal.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to test. They are tested together: the choice of each depends on all.
        fdr : float, default=0.1
            Largest expected fraction of normal rows among those selected, in (0, 1).
        method : {"storey", "bh"}, default="storey"
            "bh" is the procedure of Benjamini and Hochberg on `p_values`. "storey" runs it
            at the level ``fdr`` over an estimate of the fraction of normal rows in `X`, from the
            p-values above 1/2. It finds more where many rows are outliers, and fewer among
            few rows: the estimate counts two normal rows too many.

        Returns
        -------
        ndarray of bool of shape (n_samples,)
            True for outliers: a mask, as `SelectFdr.get_support` gives of features, for
            ``X[mask]`` of an array and of a DataFrame alike.

        Raises
        ------
        ValueError
            If `fdr` or `method` is not valid, if no rows were held out for calibration, or if
            these are fewer than ``1 / fdr - 1``, where no p-value is as low as `fdr`.

        See Also
        --------
        skae.outlier.select_by_e_values : The same for several detectors of the same rows.

        Notes
        -----
        To select k rows of m, "bh" needs a k-th smallest p-value of ``k / m * fdr`` or less, and
        none is below ``1 / (n_calibration + 1)``: a few outliers among many rows take many
        calibration rows. The rate is an expectation over calibration rows and `X`; it may be
        exceeded for some. With outliers among the calibration rows fewer are found. Both
        procedures keep the bound for p-values that share their calibration rows (Bates et al.
        2023; Marandon et al. 2024).

        References
        ----------
        Y. Benjamini and Y. Hochberg, Controlling the False Discovery Rate, Journal of the Royal
        Statistical Society B 57 (1995).

        J. Storey, J. Taylor and D. Siegmund, Strong Control, Conservative Point Estimation and
        Simultaneous Conservative Consistency of False Discovery Rates, ibid. 66 (2004).

        S. Bates, E. Candès, L. Lei, Y. Romano and M. Sesia, Testing for Outliers with Conformal
        p-Values, Annals of Statistics 51 (2023).

        A. Marandon, L. Lei, D. Mary and E. Roquain, Adaptive Novelty Detection with False Discovery
        Rate Guarantee, Annals of Statistics 52 (2024).

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.decomposition import PCA
        >>> from skae.outlier import OutlierDetector
        >>> rng = np.random.default_rng(0)
        >>> detector = OutlierDetector(PCA(2), calibration_fraction=0.5, random_state=0)
        >>> X = np.concatenate([rng.normal(size=(90, 3)), rng.normal(size=(10, 3)) + 9])
        >>> mask = detector.fit(rng.normal(size=(400, 3))).select_outliers(X, fdr=0.1)
        >>> np.flatnonzero(mask)
        array([90, 91, 92, 93, 94, 95, 96, 97, 98, 99])
        """
        if method not in ("storey", "bh"):
            raise ValueError(f"method must be 'storey' or 'bh', got {method!r}.")
        calibration = self._enough_calibration("select_outliers", fdr)
        found = p_values(calibration, self.score_samples(X))
        adjusted = false_discovery_control(found)
        if method == "storey":
            # A p-value that a normal row may have: only at these is their distribution exact.
            split = ((len(calibration) + 1) // 2) / (len(calibration) + 1)
            n_normal = (1 + np.count_nonzero(found > split)) / (1 - split)
            adjusted = adjusted * n_normal / len(found)
        return adjusted <= fdr * (1 + 1e-12)

    def e_values(self, X: Any, fdr: float = 0.1) -> np.ndarray:
        """Return evidence against each row being normal, to be averaged over detectors.

        It is 0 for rows that "bh" of `select_outliers` would not select at `fdr`. For the others
        it is the inverse of the largest p-value below its threshold. The expected mean of those
        of normal rows is at most 1 (Bashari et al. 2023), and stays so for the mean over several
        detectors that were fitted to the same rows with another split each, for which p-values
        have no such rule. `select_by_e_values` selects by that mean.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to test. They are tested together: the value of each depends on all.
        fdr : float, default=0.1
            Level of the selection by this detector alone, in (0, 1). To select by several, half the
            level passed to `select_by_e_values` found the most outliers in
            ``benchmarks/bench_selection.py``.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            As of `select_outliers`.

        References
        ----------
        M. Bashari, A. Epstein, Y. Romano and M. Sesia, Derandomized Novelty Detection with FDR
        Control via Conformal E-Values, NeurIPS 2023.
        """
        calibration = self._enough_calibration("e_values", fdr)
        scores = self.score_samples(X)
        # All scores count as thresholds: a stopping time may not know which rows are whose.
        thresholds = np.sort(np.concatenate([calibration, scores]))
        at_threshold = p_values(calibration, thresholds)
        n_selected = np.searchsorted(np.sort(scores), thresholds, side="right")
        kept = at_threshold * len(scores) <= fdr * n_selected * (1 + 1e-12)
        if not kept.any():
            return np.zeros(len(scores))
        last = np.flatnonzero(kept)[-1]
        return np.where(scores <= thresholds[last], 1 / at_threshold[last], 0.0)

    def _calibration(self, method: str) -> np.ndarray:
        """Return the calibration scores, in ascending order."""
        check_is_fitted(self)
        if self.calibration_scores_ is None:
            raise ValueError(f"{method} needs calibration rows; fit with calibration_fraction > 0.")
        return self.calibration_scores_

    def _enough_calibration(self, method: str, fdr: float) -> np.ndarray:
        """Return the calibration scores; refuse if there are too few for `fdr`."""
        calibration = self._calibration(method)
        _check_rate(fdr)
        needed = int(np.ceil(1 / fdr - 1e-9)) - 1
        if needed > len(calibration):
            raise ValueError(
                f"fdr={fdr} needs {needed} calibration rows or more, but there are "
                f"{len(calibration)}; increase it, or calibration_fraction, or fit to more rows."
            )
        return calibration


def p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the conformal p-values of scores, given those of calibration, in ascending order."""
    n_as_low = np.searchsorted(calibration, scores, side="right")
    return (1 + n_as_low) / (1 + len(calibration))


def select_by_e_values(e_values: Any, fdr: float = 0.1) -> np.ndarray:
    """Return which rows are outliers by the mean e-value of several detectors.

    One split into training and calibration rows is a matter of luck, and another selects other
    outliers. The mean e-value of detectors with different splits of the same rows
    depends on luck less, and selecting by it keeps the expected fraction of normal rows among those
    selected at `fdr` or less (the e-BH procedure, Wang and Ramdas 2022). The price is power: it
    finds fewer outliers than one split does on average.

    Parameters
    ----------
    e_values : array-like of shape (n_detectors, n_samples) or (n_samples,)
        What `OutlierDetector.e_values` gives by each detector, of the same rows.
    fdr : float, default=0.1
        Largest expected fraction of normal rows among those selected, in (0, 1).

    Returns
    -------
    ndarray of bool of shape (n_samples,)
        True for outliers. For one detector, and the same `fdr`, what its `select_outliers`
        gives by ``method="bh"``.

    Raises
    ------
    ValueError
        If `fdr` is not in (0, 1), or `e_values` are not finite numbers from 0 on.

    References
    ----------
    M. Bashari, A. Epstein, Y. Romano and M. Sesia, Derandomized Novelty Detection with FDR
    Control via Conformal E-Values, NeurIPS 2023.

    R. Wang and A. Ramdas, False Discovery Rate Control with E-Values, Journal of the Royal
    Statistical Society B 84 (2022).

    Examples
    --------
    >>> from skae.outlier import select_by_e_values
    >>> select_by_e_values([[40.0, 0.0, 30.0, 0.0], [40.0, 20.0, 0.0, 0.0]])
    array([ True, False, False, False])
    """
    _check_rate(fdr)
    values = check_array(
        e_values, dtype=np.float64, ensure_2d=False, ensure_non_negative=True, input_name="e_values"
    )
    mean = np.atleast_2d(values).mean(axis=0)
    descending = np.sort(mean)[::-1]
    enough = descending * np.arange(1, len(mean) + 1) * fdr * (1 + 1e-12) >= len(mean)
    if not enough.any():
        return np.zeros(len(mean), dtype=bool)
    return mean >= descending[np.flatnonzero(enough)[-1]]


def _check_rate(fdr: Any) -> None:
    if not isinstance(fdr, Real) or isinstance(fdr, bool) or not 0 < float(fdr) < 1:
        raise ValueError(f"fdr must be a number above 0 and below 1, got {fdr!r}.")
