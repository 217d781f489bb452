"""The denoising autoencoder and its noise."""

import numpy as np
import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from skae import DenoisingAutoencoder
from skae._random import Generator
from skae._training import Batch


@pytest.fixture(scope="module")
def X():
    """Return rows whose entries tell row and column apart: no value occurs twice."""
    return np.arange(4000 * 6).reshape(4000, 6).astype(np.float32) / 1000


def corrupted(X, noise, noise_level, **parameters):
    denoiser = quick(DenoisingAutoencoder, noise=noise, noise_level=noise_level, max_iter=1)
    return denoiser.fit(X).corrupt(X, random_state=0, **parameters)


def test_gaussian_noise_has_its_standard_deviation(X):
    noise = corrupted(X, "gaussian", 0.5).astype(np.float64) - X
    # 24,000 draws: the standard errors of mean and deviation are 0.003 and 0.002.
    assert noise.mean() == pytest.approx(0, abs=0.015)
    assert noise.std() == pytest.approx(0.5, abs=0.012)


@pytest.mark.parametrize("noise", ["masking", "salt_and_pepper", "swap"])
@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_noise_level_is_the_fraction_of_corrupted_entries(X, noise, level):
    changed = (corrupted(X + 1, noise, level) != X + 1).mean(axis=0)
    assert_allclose(changed, level, atol=0.04)  # five standard errors of a column


def test_masking_sets_to_zero(X):
    noisy = corrupted(X + 1, "masking", 0.3)
    assert (noisy[noisy != X + 1] == 0).all()


def test_salt_and_pepper_takes_the_extremes_of_the_column(X):
    noisy = corrupted(X, "salt_and_pepper", 0.4)
    low, high = X.min(axis=0), X.max(axis=0)
    changed = noisy != X
    assert ((noisy == low) | (noisy == high))[changed].all()
    assert (noisy == low).mean() == pytest.approx(0.2, abs=0.02)
    assert (noisy == high).mean() == pytest.approx(0.2, abs=0.02)


def test_swap_takes_another_row_of_the_same_column(X):
    noisy = corrupted(X, "swap", 1.0)
    assert (noisy != X).all()  # never its own
    for column, values in zip(noisy.T, X.T, strict=True):
        assert np.isin(column, values).all()


def test_one_row_has_no_other_to_swap_with(X):
    assert_array_equal(corrupted(X[:1], "swap", 1.0), X[:1])


def test_corruption_follows_its_random_state(X):
    denoiser = quick(DenoisingAutoencoder, max_iter=1).fit(X)
    first = denoiser.corrupt(X, random_state=0)
    assert_array_equal(first, denoiser.corrupt(X, random_state=0))
    assert not np.array_equal(first, denoiser.corrupt(X, random_state=1))


def test_linear_denoiser_is_the_regression_of_clean_on_corrupted(table):
    # With noise of variance s^2 the best linear map of the corrupted row is
    # C (C + s^2 I)^-1, C the covariance, and not the identity (Vincent et al. 2008).
    X = table - table.mean(axis=0)
    level = 0.7
    covariance = X.T @ X / len(X)
    expected = np.linalg.solve(covariance + level**2 * np.eye(5), covariance)
    denoiser = quick(
        DenoisingAutoencoder, n_components=8, noise_level=level, hidden_layers=(), warm_start=True
    )
    rows = np.tile(X, (20, 1))
    for learning_rate in (1e-2, 1e-3, 1e-4):
        denoiser.set_params(learning_rate=learning_rate, max_iter=100, batch_size=500, tol=0)
        denoiser.fit(rows)
    origin = denoiser.reconstruct(np.zeros((1, 5)))
    learned = denoiser.reconstruct(np.eye(5)) - origin
    assert_allclose(learned, expected, atol=0.03)
    assert np.abs(expected - np.eye(5)).max() > 0.3


def test_reading_corrupts_nothing(digits):
    denoiser = quick(DenoisingAutoencoder, noise="masking", noise_level=1.0).fit(digits)
    codes = denoiser.transform(digits)
    assert len(np.unique(codes.round(6), axis=0)) > 1700


def test_corrupt_is_what_training_sees_not_what_it_aims_at(digits):
    # With every entry masked, the best answer is the mean of the clean rows.
    denoiser = quick(
        DenoisingAutoencoder, noise="masking", noise_level=1.0, max_iter=100, learning_rate=1e-2
    ).fit(digits)
    rebuilt = denoiser.reconstruct(np.zeros((1, 64)))
    assert_allclose(rebuilt[0], digits.mean(axis=0), atol=0.05)


# -- levels drawn per row ------------------------------------------------------------------


def test_each_row_draws_its_level_from_the_list():
    X = np.ones((3000, 200), dtype=np.float32)
    denoiser = quick(DenoisingAutoencoder, noise="masking", hidden_layers=(), max_iter=1)
    denoiser.set_params(noise_schedule=(0.1, 0.4, 0.4, 0.8), n_components=1).fit(X)
    masked = (denoiser.corrupt(X, random_state=0) == 0).mean(axis=1)
    # A row masks its share within 0.035 (one standard error), so the levels stand apart.
    share = [np.mean(abs(masked - level) < 0.15) for level in (0.1, 0.4, 0.8)]
    assert sum(share) > 0.99
    assert_allclose(share, [0.25, 0.5, 0.25], atol=0.04)


def test_each_row_draws_its_level_uniformly_up_to_noise_level():
    X = np.zeros((3000, 400), dtype=np.float32)
    denoiser = quick(DenoisingAutoencoder, noise_level=2.0, noise_schedule="uniform")
    noisy = denoiser.set_params(hidden_layers=(), max_iter=1).fit(X).corrupt(X, random_state=0)
    deviation = np.sort(noisy.std(axis=1))
    assert_allclose(deviation, np.linspace(0, 2, 3000), atol=0.15)


@pytest.mark.parametrize("noise", ["gaussian", "masking", "salt_and_pepper", "swap"])
@pytest.mark.parametrize("schedule", ["uniform", [0.1, 0.9], np.array([0.2])], ids=str)
def test_the_loss_is_a_pure_function_of_the_levels_drawn(X, noise, schedule):
    denoiser = quick(DenoisingAutoencoder, noise=noise, noise_schedule=schedule).fit(X[:50])
    module, x = denoiser.module_, torch.from_numpy(X[:50])
    draws = module.sample_noise(Batch(x), Generator(0))
    with torch.no_grad():
        first = module.loss(Batch(x), draws)
        assert torch.equal(module.loss(Batch(x), draws), first)
        levels = dict(module.corruption.named_buffers())  # which act on what was drawn
        assert "noise_level" in levels
        for level in levels.values():
            level.fill_(0)
        assert_allclose(
            module.loss(Batch(x), draws), denoiser.reconstruction_error(X[:50]), rtol=1e-5
        )
        assert not torch.equal(module.loss(Batch(x), draws), first)


def test_a_schedule_of_one_level_is_that_level_alone(X):
    one = quick(DenoisingAutoencoder, noise="masking", noise_schedule=[0.4]).fit(X)
    alone = quick(DenoisingAutoencoder, noise="masking", noise_level=0.4).fit(X)
    assert_array_equal(one.corrupt(X, random_state=0), alone.corrupt(X, random_state=0))


def test_schedule_gives_the_same_bits(table):
    denoiser = quick(DenoisingAutoencoder, noise_schedule="uniform", score_draws=3, batch_size=50)
    first = denoiser.fit(table).score_samples(table)
    assert_array_equal(clone(denoiser).fit(table).score_samples(table), first)


# -- scores from corrupted copies ------------------------------------------------------------


@pytest.mark.parametrize("noise", ["gaussian", "masking"])
@pytest.mark.parametrize(
    ("schedule", "levels"),
    [
        (None, [0.6, 0.6, 0.6]),
        ("uniform", [0.1, 0.3, 0.5]),
        ([0.2, 0.7], [0.2, 0.2, 0.2, 0.7, 0.7, 0.7]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_score_is_the_mean_over_levels_and_draws(table, noise, schedule, levels, dtype):
    X = table.astype(dtype)
    denoiser = quick(
        DenoisingAutoencoder,
        noise=noise,
        noise_level=0.6,
        noise_schedule=schedule,
        score_draws=3,
    ).fit(X)
    draw = {"gaussian": Generator.normal, "masking": Generator.uniform}[noise]
    draws = draw(Generator(0), (len(levels), 5)).numpy()
    pairs = list(zip(levels, draws, strict=True))
    if noise == "gaussian":
        copies = [X + level * normal for level, normal in pairs]
    else:
        copies = [X * (uniform >= level) for level, uniform in pairs]
    copies = [np.asarray(copy, dtype=dtype) for copy in copies]
    errors = np.mean([(denoiser.reconstruct(copy) - X) ** 2 for copy in copies], axis=0)
    assert_allclose(denoiser.score_samples(X), -errors.mean(axis=1), rtol=1e-5)
    assert_allclose(denoiser.denoising_error(X), errors.mean(axis=1), rtol=1e-5)
    assert_allclose(denoiser.denoising_error(X, per_feature=True), errors, atol=1e-5)
    # What is rebuilt from the rows themselves has another error.
    clean = (denoiser.reconstruct(X) - X) ** 2
    assert_allclose(denoiser.reconstruction_error(X), clean.mean(axis=1), rtol=1e-5)
    assert_allclose(denoiser.reconstruction_error(X, per_feature=True), clean, atol=1e-5)
    assert denoiser.score_samples(X).dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_from_copies_do_not_depend_on_the_other_rows(table, dtype):
    X = table.astype(dtype)
    denoiser = quick(DenoisingAutoencoder, noise_schedule=[0.1, 1.0], score_draws=5).fit(X)
    scores = denoiser.score_samples(X)
    assert_array_equal(denoiser.score_samples(X), scores)
    tolerance = {np.float32: 2e-6, np.float64: 1e-14}[dtype]
    order = np.random.default_rng(0).permutation(len(X))
    assert_allclose(denoiser.score_samples(X[order]), scores[order], rtol=0, atol=tolerance)
    one_by_one = np.concatenate([denoiser.score_samples(row[None]) for row in X[:20]])
    assert_allclose(one_by_one, scores[:20], rtol=0, atol=tolerance)
    twice = denoiser.score_samples(X[[0, 0]])
    assert twice[0] == pytest.approx(twice[1], abs=tolerance)


def test_without_draws_the_denoising_error_is_that_of_the_reconstruction(table):
    denoiser = quick(DenoisingAutoencoder).fit(table)
    for per_feature in (False, True):
        expected = denoiser.reconstruction_error(table, per_feature=per_feature)
        assert_array_equal(denoiser.denoising_error(table, per_feature=per_feature), expected)


def test_score_draws_leave_training_and_codes_alone(table):
    plain = quick(DenoisingAutoencoder).fit(table)
    drawing = quick(DenoisingAutoencoder, score_draws=4).fit(table)
    assert_array_equal(drawing.transform(table), plain.transform(table))
    assert drawing.loss_curve_ == plain.loss_curve_
    assert drawing.score(table) < plain.score(table)


@pytest.mark.parametrize(
    ("noise", "schedule"), [("masking", [0.2, 0.4]), ("gaussian", "uniform"), ("gaussian", None)]
)
def test_scores_from_copies_separate_outliers(normal_table, noise, schedule):
    # Each column of the outliers is as usual; only how they depend on each other is not.
    rng = np.random.default_rng(0)
    outliers = np.column_stack([rng.permutation(column) for column in normal_table.T])
    denoiser = quick(DenoisingAutoencoder, noise=noise, noise_schedule=schedule, score_draws=10)
    denoiser.set_params(max_iter=150, learning_rate=1e-2).fit(normal_table)
    scores = denoiser.score_samples(np.vstack([normal_table, outliers]))
    assert roc_auc_score(np.repeat([1, 0], 300), scores) > 0.95


# -- bad values ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"noise_schedule": []}, r"noise_schedule must be .* one or more levels.*got \[\]"),
        ({"noise_schedule": [0.1, -0.2]}, r"noise_schedule must be .*none negative"),
        ({"noise_schedule": [0.1, np.nan]}, r"noise_schedule must be .*finite"),
        ({"noise_schedule": [[0.1, 0.2]]}, r"noise_schedule must be .*a sequence"),
        ({"noise_schedule": ["low", "high"]}, r"noise_schedule must be .*a sequence"),
        ({"noise_schedule": "linear"}, r"'noise_schedule' parameter .*'uniform'"),
        ({"noise_schedule": 0.3}, r"'noise_schedule' parameter .*array-like"),
        (
            {"noise_schedule": [0.1, 1.5], "noise": "masking"},
            r"each level of noise_schedule is the fraction.*at most 1, got 1.5",
        ),
        (
            {"noise_schedule": "uniform", "noise_level": 2.0, "noise": "swap"},
            r"noise_level is the fraction.*at most 1, got 2",
        ),
        ({"score_draws": -1}, r"'score_draws' parameter"),
        ({"score_draws": 2.5}, r"'score_draws' parameter"),
        ({"score_draws": 2, "noise": "swap"}, r"score_draws=2 needs noise='gaussian' or 'masking'"),
        ({"score_draws": 2, "noise": "salt_and_pepper"}, r"score_draws=2 needs"),
    ],
    ids=str,
)
def test_bad_levels_and_draws(table, parameters, message):
    with pytest.raises(ValueError, match=message):
        quick(DenoisingAutoencoder, **parameters).fit(table)


def test_levels_of_a_schedule_count_and_not_noise_level(table):
    quick(DenoisingAutoencoder, noise="masking", noise_level=3, noise_schedule=[1.0]).fit(table)
    quick(DenoisingAutoencoder, noise_schedule=[0, 3]).fit(table)
