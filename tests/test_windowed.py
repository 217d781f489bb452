"""The outlier detector of time series."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import Autoencoder, OutlierDetector
from skae.layers import Conv1d
from skae.metrics import vus_pr
from skae.outlier import WindowedDetector, _series

# What holds of rows and not of time steps, or of tables and not of series.
NOT_ROWS = {
    "check_methods_sample_order_invariance": "the score of a step depends on its neighbours",
    "check_methods_subset_invariance": "the score of a step depends on its neighbours",
    "check_fit2d_1sample": "the error speaks of steps and of the window",
    "check_fit1d": "a series of one channel may have one axis",
}


@parametrize_with_checks(
    [WindowedDetector(PCA(1), window=3, stride=2)], expected_failed_checks=lambda _: NOT_ROWS
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def waves(n_steps, seed=0, n_channels=2):
    rng = np.random.default_rng(seed)
    phase = np.arange(n_steps)[:, None] / 3 + np.arange(n_channels)
    return np.sin(phase) + 0.1 * rng.normal(size=(n_steps, n_channels))


CONV = quick(Autoencoder, n_components=2, hidden_layers=Conv1d((2, 12), channels=(4,)))


def by_hand(detector, series, window, stride):
    """Return the mean score of the windows that each step is in, window by window."""
    last = len(series) - window
    of_step = [[] for _ in series]
    for start in sorted({*range(0, last + 1, stride), last}):
        row = np.concatenate([series[start : start + window, c] for c in range(series.shape[1])])
        score = detector.score_samples(row[None])[0]
        for step in range(start, start + window):
            of_step[step].append(score)
    return np.array([np.mean(scores) for scores in of_step])


@pytest.mark.parametrize("stride", [1, 5, 12])
def test_score_of_a_step_is_the_mean_over_its_windows(stride, monkeypatch):
    monkeypatch.setattr(_series, "DENSE_NUMBERS", 24 * 7)  # seven windows at a time
    X, other = waves(60), waves(50, seed=1)
    detector = WindowedDetector(PCA(2), 12, stride, scaling=None).fit(X)
    assert detector.resolution_ == "window"
    starts = sorted({*range(0, 49, stride), 48})
    assert detector.n_windows_ == len(starts)
    rows = np.stack([X[start : start + 12].T.ravel() for start in starts])
    learner = PCA(2).fit(rows)
    for series in (X, other):
        expected = by_hand(learner, series, 12, stride)
        assert_allclose(detector.score_samples(series), expected)
    detector.set_params(window=20, stride=3, scaling="window", resolution="step", estimator=CONV)
    assert_allclose(detector.score_samples(other), expected)


@pytest.mark.parametrize("learner", [PCA(2), CONV], ids=["PCA", "autoencoder"])
@pytest.mark.parametrize("resolution", ["auto", "window", "step"])
def test_contributions_of_the_channels_add_up_to_the_score(learner, resolution):
    X = waves(80).astype(np.float32)
    detector = WindowedDetector(learner, 12, 4, resolution=resolution, random_state=0).fit(X)
    scores, explained = detector.score_samples(X), detector.explain(X)
    assert scores.dtype == explained.dtype == np.float32
    assert explained.shape == X.shape
    assert_allclose(explained.sum(axis=1), scores, rtol=1e-4, atol=1e-5)
    faulty = X.copy()
    faulty[40, 1] += 8
    first, second = detector.explain(faulty)[40]
    assert second < first


def test_steps_of_an_autoencoder_have_their_own_errors():
    X = waves(60)
    detector = WindowedDetector(CONV, 12, scaling=None, random_state=0).fit(X)
    assert detector.resolution_ == "step"
    network = detector.detector_.estimators_[0]
    of_step = [[] for _ in X]
    for start in range(49):
        errors = network.reconstruction_error(X[start : start + 12].T[None], per_feature=True)
        for step, error in enumerate(errors.reshape(2, 12).mean(axis=0)):
            of_step[start + step].append(error)
    assert_allclose(detector.score_samples(X), [-np.mean(errors) for errors in of_step])


@pytest.mark.parametrize("resolution", ["step", "window"])
def test_faults_are_found_where_they_are(resolution):
    faulty, is_fault = waves(300, seed=1), np.zeros(300)
    faulty[100:112, 0] *= -1
    faulty[200:203, 1] += 2
    is_fault[100:112] = is_fault[200:203] = 1
    detector = WindowedDetector(PCA(4), 12, resolution=resolution, contamination=0.001)
    detector.fit(waves(600))
    assert vus_pr(is_fault, -detector.score_samples(faulty), 12) > 0.8
    predicted = detector.predict(faulty)
    assert_array_equal(predicted == -1, detector.decision_function(faulty) < 0)
    assert (predicted[is_fault == 1] == -1).mean() > 0.5
    assert (predicted[:80] == 1).mean() > 0.95


def test_a_list_of_series():
    train = [waves(40, seed=1), waves(12, seed=2), waves(30, seed=3)]
    test = [waves(20, seed=4), waves(50, seed=5)]
    detector = WindowedDetector(PCA(2), 12).fit(train)
    assert detector.n_windows_ == 29 + 1 + 19  # none across two series
    for method in ("score_samples", "decision_function", "predict", "explain"):
        found = getattr(detector, method)(tuple(test))
        assert isinstance(found, list)
        for one, series in zip(found, test, strict=True):
            assert_array_equal(one, getattr(detector, method)(series))
    assert detector.score(test) == pytest.approx(
        np.concatenate(detector.score_samples(test)).mean()
    )
    assert [one.tolist() for one in detector.fit_predict(train)] == [
        one.tolist() for one in detector.predict(train)
    ]


def test_one_channel_may_have_one_axis():
    X = waves(50, n_channels=1)
    detector = WindowedDetector(PCA(2), 12).fit(X[:, 0])
    expected = WindowedDetector(PCA(2), 12).fit(X).score_samples(X)
    one_axis = [X[:, 0], X[:, 0].tolist(), pd.Series(X[:, 0]), torch.tensor(X[:, 0])]
    for series in (X, *one_axis):
        assert_array_equal(detector.score_samples(series), expected)
    assert_array_equal(detector.score_samples(one_axis[:1] + one_axis[2:])[1], expected)
    assert detector.explain(X[:, 0]).shape == (50,)
    with pytest.raises(ValueError, match="Reshape your data"):
        WindowedDetector(PCA(2), 12).fit(waves(50)).predict(X[:, 0])


def test_frames_keep_names_and_index():
    X = waves(40)
    frame = pd.DataFrame(X, columns=["a", "b"], index=pd.date_range("2020", periods=40))
    detector = WindowedDetector(PCA(2), 12).fit(frame)
    assert_array_equal(detector.feature_names_in_, ["a", "b"])
    explained = detector.explain([frame])[0]
    assert_array_equal(explained.index, frame.index)
    assert_allclose(explained, WindowedDetector(PCA(2), 12).fit(X).explain(X))
    with pytest.raises(ValueError, match="feature names should match"):
        detector.predict([frame, frame.rename(columns={"b": "c"})])


# -- scaling ------------------------------------------------------------------------------------


def test_scaling():
    X, test = waves(80), waves(40, seed=1)
    scores = {
        scaling: WindowedDetector(PCA(2), 12, scaling=scaling).fit(X).score_samples(test)
        for scaling in (None, "channel", "window")
    }
    factor, offset = np.array([10.0, 0.1]), np.array([1e3, -5.0])
    for scaling in ("channel", "window"):  # units make no difference
        detector = WindowedDetector(PCA(2), 12, scaling=scaling).fit(factor * X + offset)
        assert_allclose(detector.score_samples(factor * test + offset), scores[scaling], rtol=1e-6)
    by_channel = WindowedDetector(PCA(2), 12, scaling=None).fit((X - X.mean(0)) / X.std(0))
    expected = by_channel.score_samples((test - X.mean(0)) / X.std(0))
    assert_allclose(scores["channel"], expected)
    detector = WindowedDetector(PCA(2), 12, scaling="window").fit(X)
    moved = 3 * test + 100  # of one window, neither level nor strength counts
    assert_allclose(detector.score_samples(moved), scores["window"], rtol=1e-6)


def test_a_constant_channel_is_zero_in_its_window():
    windows = np.stack([np.full((1, 6), 0.1 + 0.2), np.full((1, 6), np.nan), [np.arange(6.0)]])
    windows[0, 0, 3] = np.nan
    found = _series.scaled(windows)
    assert_allclose(found[0, 0], [0, 0, 0, np.nan, 0, 0], atol=1e-9)
    assert np.isnan(found[1]).all()
    assert_allclose(_series.scaled(1e200 * windows[2:]), found[2:])
    assert_allclose(found[2, 0], (np.arange(6) - 2.5) / np.std(np.arange(6)))


# -- calibration --------------------------------------------------------------------------------


def test_the_end_of_a_series_is_held_out():
    X = waves(200)
    detector = WindowedDetector(PCA(2), 12, calibration_fraction=0.3, contamination=0.05).fit(X)
    without = WindowedDetector(PCA(2), 12).fit(X[:140])
    assert detector.n_windows_ == without.n_windows_ == 129
    calibration = np.sort(without.score_samples(X[140:]))
    assert_allclose(detector.calibration_scores_, calibration)
    assert detector.offset_ == pytest.approx(calibration[2])  # 0.05 * 61 rounded down, from 1
    test = waves(50, seed=3)
    as_low = (calibration[:, None] <= without.score_samples(test)).sum(axis=0)
    assert_allclose(detector.p_values(test), (1 + as_low) / 61)
    assert_allclose(detector.p_values([test, test])[1], (1 + as_low) / 61)


def test_of_several_series_some_are_held_out():
    X = [waves(30, seed=seed) for seed in range(10)]
    settings = dict(calibration_fraction=0.3, random_state=0)
    detector = WindowedDetector(PCA(2), 12, **settings).fit(X)
    assert detector.n_windows_ == 7 * 19
    assert len(detector.calibration_scores_) == 3 * 30
    scores = np.concatenate(detector.score_samples(X))
    assert np.isin(detector.calibration_scores_.round(9), scores.round(9)).all()


def test_rate_of_false_alarms_in_the_long_run():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=24_000)
    series = noise[1:] + 0.5 * noise[:-1]
    detector = WindowedDetector(PCA(3), 8, calibration_fraction=0.5, contamination=0.05)
    predicted = detector.fit(series[:12_000]).predict(series[12_000:])
    # 6,000 and 12,000 steps, of which about every eighth is independent of the others.
    assert abs((predicted == -1).mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 * (8 / 6000 + 8 / 12000))


# -- what it takes ------------------------------------------------------------------------------


def test_windows_are_made_a_chunk_at_a_time(monkeypatch):
    sizes = []
    original = PCA.score_samples

    def score_samples(self, X):
        sizes.append(len(X))
        return original(self, X)

    detector = WindowedDetector(PCA(2), 12).fit(waves(200))
    expected = detector.score_samples(waves(300))
    monkeypatch.setattr(PCA, "score_samples", score_samples)
    monkeypatch.setattr(_series, "DENSE_NUMBERS", 24 * 50)
    assert_allclose(detector.score_samples(waves(300)), expected)
    assert max(sizes) == 50


def test_same_random_state_same_bits():
    X = waves(60)
    learner = clone(CONV).set_params(random_state=None)
    detector = WindowedDetector(learner, 12, random_state=0)
    scores = detector.fit(X).score_samples(X)
    assert_array_equal(clone(detector).fit(X).score_samples(X), scores)
    assert_array_equal(pickle.loads(pickle.dumps(detector)).score_samples(X), scores)
    other = clone(detector).set_params(random_state=1).fit(X)
    assert not np.array_equal(other.score_samples(X), scores)


def test_default_and_ensembles():
    X = waves(150)
    X[70] += 5
    ensemble = OutlierDetector(PCA(2), n_estimators=3, max_samples=0.5, random_state=0)
    for learner in (None, ensemble):
        detector = WindowedDetector(learner, 12, random_state=0).fit(X)
        assert abs(detector.score_samples(X).argmin() - 70) < 12
    assert len(detector.detector_.estimators_) == 3


def test_missing_values_where_the_learner_takes_them():
    X = waves(90)
    X[20:25, 0] = np.nan
    forest = IsolationForest(n_estimators=5, random_state=0)
    for scaling in ("channel", "window", None):
        detector = WindowedDetector(forest, 12, scaling=scaling).fit(X)
        assert np.isfinite(detector.score_samples(X)).all()
    detector = WindowedDetector(None, 12, stride=4, random_state=0).fit(X)
    by_name = WindowedDetector(OutlierDetector(), 12, stride=4, random_state=0).fit(X)
    assert_array_equal(detector.score_samples(X), by_name.score_samples(X))
    for learner in (None, forest):
        assert get_tags(WindowedDetector(learner)).input_tags.allow_nan
    assert not get_tags(WindowedDetector(PCA(2))).input_tags.allow_nan
    with pytest.raises(ValueError, match="contains NaN"):
        WindowedDetector(PCA(2), 12).fit(X)


@pytest.mark.parametrize(
    ("parameters", "X", "message"),
    [
        ({}, waves(11), r"X has 11 steps, but a window has 12: leave out"),
        ({}, [waves(30), waves(9)], r"X\[1\] has 9 steps, but a window has 12"),
        ({}, np.zeros((5, 30, 2)), r"X has 3 axes, but a series has two.*list\(X\)"),
        ({}, [waves(30), waves(30, n_channels=3)], "3 features.*expecting 2 features"),
        ({"stride": 13}, waves(40), "stride=13 leaves out steps between windows of 12"),
        ({"window": 0}, waves(40), "'window' parameter of WindowedDetector"),
        ({"window": True}, waves(40), "'window' parameter of WindowedDetector must be a number"),
        ({"scaling": "series"}, waves(40), "'scaling' parameter of WindowedDetector"),
        ({"estimator": 3}, waves(40), "'estimator' parameter of WindowedDetector"),
        (
            {"estimator": CONV, "window": 24},
            waves(40, n_channels=1),
            r"layers of the estimator take samples of shape \(2, 12\), but windows have \(1, 24\)",
        ),
        (
            {"estimator": OutlierDetector(calibration_fraction=0.2)},
            waves(40),
            "contamination and calibration_fraction belong to WindowedDetector",
        ),
        (
            {"calibration_fraction": 0.2},
            waves(40),
            r"calibration_fraction=0.2 of 40 steps leaves 32 to learn from and 8 to calibrate with",
        ),
        (
            {"calibration_fraction": 0.5, "contamination": 0.01},
            waves(40),
            "contamination=0.01 needs 99 calibration rows or more, .* of 40 steps gives 20",
        ),
    ],
)
def test_bad_input(parameters, X, message):
    detector = WindowedDetector(**{"estimator": PCA(2), "window": 12, **parameters})
    with pytest.raises((ValueError, TypeError), match=message):
        detector.fit(X)
    assert not hasattr(detector, "detector_")


METHODS = ("score_samples", "score", "decision_function", "predict", "p_values", "explain")


@pytest.mark.parametrize("method", METHODS)
def test_bad_reading(method):
    detector = WindowedDetector(PCA(2), 12, calibration_fraction=0.4)
    with pytest.raises(NotFittedError):
        getattr(detector, method)(waves(30))
    with pytest.raises(ValueError, match=r"X\[0\] has 7 steps, but a window has 12"):
        getattr(detector.fit(waves(50)), method)([waves(7)])


def test_p_values_without_calibration():
    with pytest.raises(ValueError, match="fit with calibration_fraction > 0"):
        WindowedDetector(PCA(2), 12).fit(waves(30)).p_values(waves(30))
