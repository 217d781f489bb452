"""Features of windows and of layers: what they are, and what a linear model makes of them."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, normalize
from sklearn.svm import LinearSVC
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skae import (
    Autoencoder,
    ConditionalVariationalAutoencoder,
    DeepBeliefNetwork,
    DenoisingAutoencoder,
    GaussianRBM,
)
from skae.features import LayerFeatures, WindowFeatures
from skae.layers import Conv1d
from skae.model_selection import BatchedGridSearchCV

QUICK = dict(max_windows=400, random_state=0)
#: Codes each window as itself.
IDENTITY = FunctionTransformer()
SMALL = Autoencoder(3, hidden_layers=(8, 6), max_iter=3, tol=0.1)


@parametrize_with_checks(
    [
        WindowFeatures(max_windows=400),
        WindowFeatures(
            PCA(1), 3, pooling=("max", "proportion"), n_segments=2, scaling="standard",
            standardize=False,
        ),
        LayerFeatures(SMALL),
    ]
)  # fmt: skip
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def series():
    return np.random.default_rng(0).normal(size=(12, 20)).astype(np.float32)


# -- windows ---------------------------------------------------------------------------------


def test_pooled_windows_of_a_series_are_those_of_a_loop(series):
    """With the identity as the learner a code is a window; each is found by hand here."""
    settings = dict(scaling=None, standardize=False, dilations=[1, 3], n_segments=2, **QUICK)
    features = WindowFeatures(IDENTITY, 4, pooling=("mean", "max"), **settings).fit(series)
    unit = np.concatenate(
        [series[:, i : i + 3 * d + 1 : d] for d in (1, 3) for i in range(20 - 3 * d)]
    ).std()
    expected = []
    for row in series:
        found = []
        for dilation in (1, 3):
            starts = range(20 - 3 * dilation)
            windows = np.array([row[i : i + 3 * dilation + 1 : dilation] for i in starts])
            half = round(len(windows) / 2)
            for part in (windows[:half], windows[half:]):
                found += [part.mean(axis=0), part.max(axis=0)]
        expected.append(np.concatenate(found))
    # The unit is the root mean square of the training windows.
    ratio = features.transform(series) / np.array(expected)
    assert_allclose(ratio, ratio[0, 0], rtol=1e-3)
    assert ratio[0, 0] == pytest.approx(1 / unit, rel=0.05)


def test_proportions_are_those_above_quantiles_of_the_training_windows(series):
    """All windows were learned from, so that thresholds i / 4 .. (i + 1) / 4 up leave as much."""
    features = WindowFeatures(
        IDENTITY, 3, scaling=None, standardize=False, dilations=[1], n_thresholds=4,
        max_windows=10_000, random_state=0,
    ).fit(series)  # fmt: skip
    above = features.transform(series).mean(axis=0).reshape(4, 3)
    for i in range(4):
        assert (above[i] <= 1 - i / 4 + 0.01).all()
        assert (above[i] >= 1 - (i + 1) / 4 - 0.01).all()
    assert_allclose(np.diff(above, axis=0), -1 / 4, atol=0.01)


def test_windows_of_an_image_are_its_patches():
    images = np.random.default_rng(0).random((3, 6, 5))
    features = WindowFeatures(
        IDENTITY, 3, shape=(1, 6, 5), scaling=None, standardize=False, dilations=[1],
        pooling="max", max_windows=10_000,
    ).fit(images.reshape(3, 30))  # fmt: skip
    patches = np.array([extract_patches_2d(image, (3, 3)).reshape(-1, 9) for image in images])
    unit = np.sqrt(np.square(patches).mean())
    expected = patches.max(axis=1) / unit
    assert_allclose(features.transform(images.reshape(3, 30)), expected)
    assert_allclose(features.transform(images[:, None]), expected)


def test_features_do_not_depend_on_where_a_pattern_is():
    """A pattern amid zeros has the same windows wherever it lies, but near the ends."""
    X = np.zeros((2, 60))
    X[0, 20:25] = X[1, 31:36] = [1, 3, -2, 2, 1]
    noise = np.random.default_rng(0).normal(size=(30, 60))
    features = WindowFeatures(dilations=[1, 2], **QUICK).fit(noise)
    first, second = features.transform(X)
    assert_allclose(first, second, atol=1e-9)
    parts = WindowFeatures(dilations=[1, 2], n_segments=4, **QUICK).fit(noise)
    first, second = parts.transform(X)
    assert abs(first - second).max() > 0.5


@pytest.mark.parametrize(("scaling", "same"), [("standard", True), ("center", False)])
def test_scaling_decides_whether_level_and_strength_count(series, scaling, same):
    features = WindowFeatures(scaling=scaling, **QUICK).fit(series)
    weaker = features.transform(series * 0.5 + 7)
    assert_allclose(features.transform(series + 7), features.transform(series), atol=1e-1)
    differs = abs(weaker - features.transform(series)).mean()
    assert (differs < 0.1) == same


@pytest.mark.parametrize("scaling", ["standard", "center", None])
def test_units_of_the_series_do_not_matter(series, scaling):
    """A power of two is exact, so that features are the same bits; its square overflows."""
    features = WindowFeatures(PCA(2), scaling=scaling, **QUICK)
    series = series.astype(np.float64)
    expected = features.fit_transform(series)
    assert expected.std() > 0.5
    for power in (2.0**600, 2.0**-600):
        assert_array_equal(features.fit_transform(series * power), expected)


def test_channels_are_scaled_by_themselves(series):
    two = np.stack([series, series[::-1]], axis=1)
    features = WindowFeatures(shape=(2, 20), pooling="mean", **QUICK).fit(two)
    moved = two + np.array([5.0, -3.0], dtype=np.float32)[:, None]
    assert_allclose(features.transform(moved), features.transform(two), atol=1e-3)
    assert features.shape_ == (2, 20)
    assert_allclose(features.transform(two.reshape(12, 40)), features.transform(two))


@pytest.mark.parametrize(
    ("length", "window", "dilations"),
    [(128, 9, [1, 2, 4, 8]), (20, 9, [1]), (5, 9, [1]), (1, 9, [1]), (40, 1, [1])],
)
def test_automatic_dilations_fit_the_series(length, window, dilations):
    X = np.random.default_rng(0).normal(size=(9, length))
    features = WindowFeatures(IDENTITY, window, **QUICK).fit(X)
    assert features.dilations_ == dilations


def test_features_are_standardised(series):
    features = WindowFeatures(**QUICK)
    found = features.fit_transform(series)
    assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    varies = found.std(axis=0) > 0
    assert_allclose(found.std(axis=0)[varies], 1, rtol=1e-3)
    assert_array_equal(features.transform(series), found)
    assert_array_equal(clone(features).fit(series).transform(series), found)
    assert_array_equal(pickle.loads(pickle.dumps(features)).transform(series), found)
    features.set_params(scaling=None, pooling="max", n_segments=2)  # for the next fit
    assert_array_equal(features.transform(series), found)


def test_a_linear_model_sees_shifted_patterns():
    rng = np.random.default_rng(0)
    X, y = rng.normal(scale=0.3, size=(120, 80)), np.arange(120) % 2
    for row, kind, start in zip(X, y, rng.integers(60, size=120), strict=True):
        row[start : start + 20] += np.sin(np.arange(20) * (0.8 if kind else 1.6))
    model = make_pipeline(WindowFeatures(random_state=0), LinearSVC())
    assert model.fit(X[:60], y[:60]).score(X[60:], y[60:]) > 0.95
    assert LinearSVC().fit(X[:60], y[:60]).score(X[60:], y[60:]) < 0.75


def test_a_search_trains_learners_as_one_batch_to_the_same_scores(series):
    learner = Autoencoder(2, hidden_layers=(), max_iter=3, tol=0.1, random_state=0)
    model = make_pipeline(WindowFeatures(learner, 5, **QUICK), LinearSVC(C=0.1))
    grid = {"windowfeatures__n_segments": [1, 2], "windowfeatures__estimator__weight_decay": [0, 1]}
    y = np.arange(12) % 2
    plain, batched = (
        search(model, grid, cv=2).fit(series, y).cv_results_["mean_test_score"]
        for search in (GridSearchCV, BatchedGridSearchCV)
    )
    assert_array_equal(plain, batched)


def test_frames_have_names(series):
    frame = pd.DataFrame(series, columns=[f"step{i}" for i in range(20)])
    features = WindowFeatures(PCA(2), dilations=[1], **QUICK).set_output(transform="pandas")
    found = features.fit_transform(frame)
    assert list(found) == [f"windowfeatures{i}" for i in range(4)]
    with config_context(transform_output="pandas"):
        plain = WindowFeatures(PCA(2), dilations=[1], **QUICK).fit(frame).transform(frame)
    pd.testing.assert_frame_equal(plain, found)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(shape=(1, 7)), r"shape=\(1, 7\) has 7 entries, but X has 20 features"),
        (dict(shape=(20,)), r"takes samples of shape \(n_channels, length\)"),
        (dict(shape=(1, 20.0)), "positive integers"),
        (dict(dilations=[1, 3]), r"windows of 25 steps, but a sample has 20"),
        (dict(dilations=[]), "one or more positive integers"),
        (dict(dilations=[0.5]), "one or more positive integers"),
        (dict(pooling=("max", "min")), "'proportion', 'max' and 'mean'"),
        (dict(pooling=()), "'proportion', 'max' and 'mean'"),
    ],
)
def test_what_does_not_fit_is_named(series, parameters, message):
    features = WindowFeatures(**parameters)
    with pytest.raises(ValueError, match=message):
        features.fit(series)
    assert not vars(features).keys() - features.get_params().keys()
    with pytest.raises(ValueError, match=r"samples of shape \(4, 5\)"):
        WindowFeatures(PCA(1), shape=(1, 20)).fit(series.reshape(12, 4, 5))


# -- layers ------------------------------------------------------------------------------------


def test_layers_stand_side_by_side(series):
    features = LayerFeatures(SMALL, scaling=None, random_state=0).fit(series)
    module = features.estimator_.module_
    found = features.transform(series)
    assert found.shape == (12, 8 + 6 + 3)
    first = np.maximum(series @ module.encoder[0].weight.detach().numpy().T, 0)
    assert_allclose(found[:, :8], first + 0 * found[:, :8], atol=0.2)  # biases are small yet
    assert (found[:, :14] >= 0).all()
    assert_array_equal(found[:, 14:], features.estimator_.transform(series))
    assert_allclose(
        features.inverse_transform(found), features.estimator_.reconstruct(series), atol=1e-6
    )


def test_missing_values_are_filled_in_for_all_layers(series):
    holes = series.copy()
    holes[2, 3] = np.nan
    learner = clone(SMALL).set_params(missing_values="mask")
    features = LayerFeatures(learner, scaling=None, random_state=0).fit(holes)
    found = features.transform(holes)
    assert_array_equal(found[:, 14:], features.estimator_.transform(holes))
    assert np.isfinite(found).all()
    assert get_tags(features).input_tags.allow_nan
    assert not get_tags(LayerFeatures(SMALL)).input_tags.allow_nan
    features.set_params(layers="code")  # for the next fit
    assert_array_equal(features.transform(holes), found)


def test_scaled_codes_are_those_of_scikit_learn(series):
    plain, standard, norm = (
        LayerFeatures(SMALL, scaling=scaling, random_state=0).fit(series)
        for scaling in (None, "standard", "norm")
    )
    codes = plain.transform(series)
    assert_allclose(standard.transform(series), StandardScaler().fit_transform(codes), atol=1e-5)
    assert_allclose(norm.transform(series), normalize(codes), atol=1e-6)
    rebuilt = standard.inverse_transform(standard.transform(series))
    assert_allclose(rebuilt, standard.estimator_.reconstruct(series), atol=1e-5)
    for scaling in ("norm", None):  # the latter for the next fit
        assert not hasattr(norm.set_params(scaling=scaling), "inverse_transform")


def test_layers_of_a_convolutional_encoder_are_flat(series):
    layers = Conv1d((1, 20), channels=(2, 3))
    learner = DenoisingAutoencoder(4, hidden_layers=layers, max_iter=2, tol=0.1)
    assert LayerFeatures(learner).fit_transform(series).shape == (12, 2 * 10 + 3 * 5 + 4)


def test_a_conditional_autoencoder_is_told_the_labels(series):
    learner = ConditionalVariationalAutoencoder(2, hidden_layers=(5,), max_iter=2, tol=0.1)
    features, y = LayerFeatures(learner, scaling=None, random_state=0), np.arange(12) % 2
    model = make_pipeline(features, LinearSVC()).fit(series, y)
    fitted = model[0].estimator_
    assert_array_equal(fitted.classes_, [0, 1])
    found = features.fit(series, y).transform(series)
    assert found.shape == (12, 5 + 2)
    assert_array_equal(found[:, 5:], fitted.transform(series))
    assert get_tags(features).target_tags.required
    with pytest.raises(ValueError, match="requires y"):
        features.fit(series)


def test_codes_alone_are_those_of_any_learner(series):
    machine = GaussianRBM(4, n_iter=2)
    features = LayerFeatures(machine, layers="code", scaling=None, random_state=0).fit(series)
    assert_array_equal(features.transform(series), features.estimator_.transform(series))
    with pytest.raises(ValueError, match="must be an autoencoder of skae"):
        LayerFeatures(PCA(2)).fit(series)


@pytest.mark.parametrize("kind", [GaussianRBM, DeepBeliefNetwork])
def test_a_learner_without_layers_is_refused_before_it_is_trained(series, monkeypatch, kind):
    monkeypatch.setattr(kind, "fit", lambda *_: pytest.fail("is trained"))
    with pytest.raises(ValueError, match=f"{kind.__name__} does not have; set layers='code'"):
        LayerFeatures(kind()).fit(series)


def test_parameters_of_a_learner_are_checked_before_its_layers(series):
    with pytest.raises(ValueError, match="'n_components' parameter of GaussianRBM"):
        LayerFeatures(GaussianRBM(0)).fit(series)
