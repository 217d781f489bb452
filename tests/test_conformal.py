"""Rows tested against calibration rows: the selection of outliers, and its rate of errors."""

import math

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from skae.outlier import OutlierDetector, select_by_e_values


class Itself(BaseEstimator):
    """A learner whose score of a row is its only number."""

    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        return X[:, 0]


def calibrated(calibration, n_train=1):
    """Return a detector with these calibration scores."""
    n = len(calibration)
    detector = OutlierDetector(Itself(), calibration_fraction=n / (n + n_train), random_state=0)
    detector.fit(np.zeros((n + n_train, 1)))
    detector.calibration_scores_ = np.sort(calibration)
    return detector


def draw(rng, n_calibration=199, n_normal=16, n_outliers=4, shift=2.5):
    """Return a detector, and normal rows followed by outliers, which are lower."""
    detector = calibrated(rng.normal(size=n_calibration))
    scores = rng.normal(size=n_normal + n_outliers)
    scores[n_normal:] -= shift
    return detector, scores[:, None]


def bh_by_definition(p, level):
    k = max([k for k in range(1, len(p) + 1) if np.sum(p <= k * level / len(p)) >= k], default=0)
    return p <= k * level / len(p)


@pytest.mark.parametrize("fdr", [0.05, 0.2, 0.5])
def test_selection_by_definition(fdr):
    rng = np.random.default_rng(0)
    n_selected = 0
    for _ in range(30):
        detector, X = draw(rng)
        p = detector.p_values(X)
        expected = bh_by_definition(p, fdr)
        found = detector.select_outliers(X, fdr, method="bh")
        assert found.dtype == bool
        assert_array_equal(found, expected)
        n_normal = (1 + np.sum(p > 0.5)) / (1 - 0.5)
        expected = bh_by_definition(p, fdr * 20 / n_normal)
        assert_array_equal(detector.select_outliers(X, fdr), expected)
        n_selected += expected.sum()
    assert n_selected > 30


@pytest.mark.parametrize(("n_calibration", "n_normal"), [(199, 16), (399, 20)])
def test_false_discovery_rate_is_what_theory_says(n_calibration, n_normal):
    # Of "bh" exactly fdr * n_normal / m where fdr * (n_calibration + 1) / m is a whole number
    # (Marandon et al. 2024); of "storey" at most fdr.
    rng = np.random.default_rng(0)
    detector = calibrated(np.zeros(n_calibration))
    rates = {"bh": [], "storey": []}
    for _ in range(800):
        drawn, X = rng.normal(size=n_calibration), rng.normal(size=(20, 1))
        X[n_normal:] -= 2.5
        detector.calibration_scores_ = np.sort(drawn)
        for method, of_method in rates.items():
            mask = detector.select_outliers(X, 0.2, method=method)
            of_method.append(mask[:n_normal].sum() / max(1, mask.sum()))
    error = 4 * np.std(rates["bh"]) / math.sqrt(800)
    assert abs(np.mean(rates["bh"]) - 0.2 * n_normal / 20) < error
    assert np.mean(rates["storey"]) < 0.2 + 4 * np.std(rates["storey"]) / math.sqrt(800)


def test_storey_finds_more_where_many_rows_are_outliers():
    rng = np.random.default_rng(1)
    found = {"bh": 0, "storey": 0}
    for _ in range(20):
        detector, X = draw(rng, 500, 50, 50)
        for method in found:
            found[method] += detector.select_outliers(X, method=method)[50:].sum()
    assert found["storey"] > found["bh"] + 50


def test_e_values_of_one_detector_select_what_bh_does():
    rng = np.random.default_rng(2)
    for fdr in (0.05, 0.2, 0.5) * 10:
        detector, X = draw(rng)
        mask = detector.select_outliers(X, fdr, method="bh")
        values = detector.e_values(X, fdr)
        assert_array_equal(select_by_e_values(values, fdr), mask)
        assert_array_equal(values > 0, mask)
        if mask.any():  # at least as much evidence as it takes, and no more than the p-values
            assert values[mask].min() >= 20 / (fdr * mask.sum()) - 1e-9
            assert (values[mask] <= 1 / detector.p_values(X)[mask] + 1e-9).all()


def test_mean_e_value_of_normal_rows_is_at_most_one():
    rng = np.random.default_rng(3)
    detector, means = calibrated(np.zeros(99)), []
    for _ in range(800):
        detector.calibration_scores_ = np.sort(rng.normal(size=99))
        X = rng.normal(size=(20, 1)) - np.where(np.arange(20) < 16, 0, 2.5)[:, None]
        means.append(detector.e_values(X, 0.3)[:16].mean())
    # By theory 1 here but for what falls between thresholds, were all rows normal.
    assert 0.3 < np.mean(means) < 1 + 4 * np.std(means) / math.sqrt(800)


def test_selection_by_e_values_by_hand():
    # Means 30, 12, 10, 0 of four rows at 0.2: k rows need 4 / (0.2 k) = 20, 10, 6.7, 5.
    values = [[40, 24, 20, 0], [20, 0, 0, 0]]
    assert_array_equal(select_by_e_values(values, 0.2), [True, True, True, False])
    assert_array_equal(select_by_e_values(np.mean(values, axis=0), 0.2), [True, True, True, False])
    assert_array_equal(select_by_e_values(values, 0.05), [False] * 4)


def test_several_splits_of_a_table():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(400, 3))
    X = np.concatenate([rng.normal(size=(80, 3)), norm.rvs(7, size=(20, 3), random_state=rng)])
    settings = dict(calibration_fraction=0.5, max_samples=50)
    detectors = [
        OutlierDetector(PCA(1), random_state=seed, **settings).fit(rows) for seed in range(5)
    ]
    mask = select_by_e_values([detector.e_values(X, 0.1) for detector in detectors], 0.2)
    assert mask[80:].all()
    assert mask[:80].sum() <= 5  # of 25 selected, 0.2


def test_a_mask_picks_the_rows_of_a_frame():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    detector = OutlierDetector(PCA(1), calibration_fraction=0.5, random_state=0).fit(frame)
    strange = pd.concat([frame[:3] * 0, frame[:3] + 100])
    assert_allclose(strange[detector.select_outliers(strange)], frame[:3] + 100)


@pytest.mark.parametrize("method", ["select_outliers", "e_values"])
def test_bad_input(method):
    detector = OutlierDetector(Itself())
    X = np.zeros((30, 1))
    with pytest.raises(NotFittedError):
        getattr(detector, method)(X)
    with pytest.raises(ValueError, match=f"{method} needs calibration rows; fit with"):
        getattr(detector.fit(X), method)(X)
    detector = calibrated(np.arange(8.0))
    with pytest.raises(ValueError, match=r"fdr=0\.1 needs 9 calibration rows or more, .* are 8"):
        getattr(detector, method)(X)
    getattr(detector, method)(X, fdr=1 / 9)
    for wrong in (0, 1, -0.1, True, "0.1", None, np.nan):
        with pytest.raises(ValueError, match=r"fdr must be a number above 0 and below 1, got"):
            getattr(detector, method)(X, fdr=wrong)


def test_bad_method_and_e_values():
    with pytest.raises(ValueError, match="method must be 'storey' or 'bh', got 'by'"):
        calibrated(np.arange(9.0)).select_outliers([[0.0]], method="by")
    with pytest.raises(ValueError, match=r"fdr must be .* got 2"):
        select_by_e_values([1.0], 2)
    for wrong in ([np.nan, 1.0], [-1.0, 2.0]):
        with pytest.raises(ValueError, match=r"(?i)e_values|negative"):
            select_by_e_values(wrong)
