"""The denoising autoencoder and its noise."""

import numpy as np
import pytest
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal

from skae import DenoisingAutoencoder


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
