"""Measures of samples, against closed forms, enumerations and twins."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import linalg, stats
from scipy.integrate import trapezoid
from sklearn import config_context
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KernelDensity

from skae.metrics import (
    frechet_distance,
    maximum_mean_discrepancy,
    mode_coverage,
    parzen_log_likelihood,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def with_moments(rng, mean, covariance, n=50):
    """Return rows whose sample mean and covariance are exactly these."""
    raw = rng.normal(size=(n, len(mean)))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return mean + white @ np.linalg.cholesky(covariance).T


def test_frechet_distance_of_gaussians_that_commute(rng):
    # In one basis it is the sum of squared differences of means and standard deviations.
    first = with_moments(rng, [0.0, 1.0], np.diag([4.0, 9.0]))
    second = with_moments(rng, [3.0, 1.0], np.diag([1.0, 25.0]))
    assert frechet_distance(first, second) == pytest.approx(3**2 + (2 - 1) ** 2 + (3 - 5) ** 2)


def test_frechet_distance_is_its_formula(rng):
    X, Y = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)), rng.exponential(size=(30, 6))
    first, second = np.cov(X, rowvar=False), np.cov(Y, rowvar=False)
    difference = X.mean(0) - Y.mean(0)
    root = linalg.sqrtm(first @ second).real
    expected = difference @ difference + np.trace(first + second - 2 * root)
    assert_allclose(frechet_distance(X, Y), expected, rtol=1e-10)
    assert_allclose(frechet_distance(Y, X), expected, rtol=1e-10)


def test_frechet_distance_with_fewer_rows_than_features(rng):
    X = rng.normal(size=(5, 30))
    assert frechet_distance(X, X) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(X, X + 2) == pytest.approx(30 * 4)


@pytest.mark.parametrize("offset", [0, 1e6])
def test_parzen_log_likelihood_is_the_kernel_density_of_scikit_learn(rng, offset):
    X, samples = offset + rng.normal(size=(20, 3)), offset + rng.normal(size=(50, 3))
    expected = KernelDensity(bandwidth=0.3).fit(samples).score_samples(X)
    assert_allclose(parzen_log_likelihood(X, samples, 0.3), expected, rtol=1e-6)


def test_parzen_log_likelihood_integrates_to_one(rng):
    samples, grid = rng.normal(size=(30, 1)), np.linspace(-9, 9, 4001)
    density = np.exp(parzen_log_likelihood(grid[:, None], samples, 0.4))
    assert trapezoid(density, grid) == pytest.approx(1, abs=1e-8)


def test_parzen_log_likelihood_far_away_does_not_underflow():
    expected = stats.norm(scale=0.01).logpdf(100)
    assert_allclose(parzen_log_likelihood([[100.0]], [[0.0]], 0.01), expected)


def test_mode_coverage_counts():
    modes = [[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]]
    samples = [[0.1, 0.0], [0.0, -0.15], [2.0, 0.14], [1.0, 0.0], [4.0, 0.16]]
    found = mode_coverage(samples, modes, radius=0.15)
    assert (found.n_modes, found.high_quality) == (2, 3 / 5)
    assert_array_equal(found.counts, [2, 1, 0])


def test_mode_coverage_of_the_mixture_itself(rng):
    # In the plane, exp(-3^2 / 2) of a Gaussian lies beyond three standard deviations.
    modes = np.array([[x, y] for x in range(5) for y in range(5)], dtype=float)
    samples = modes[rng.integers(25, size=100_000)] + 0.05 * rng.normal(size=(100_000, 2))
    found = mode_coverage(samples, modes, radius=0.15)
    assert found.n_modes == 25
    assert found.high_quality == pytest.approx(1 - np.exp(-4.5), abs=0.002)


def enumerated(X, Y, kernel):
    """Return the estimate of Gretton et al. 2012, equation 3, pair by pair."""
    n, m = len(X), len(Y)
    of_x = sum(kernel(X[i], X[j]) for i in range(n) for j in range(n) if i != j)
    of_y = sum(kernel(Y[i], Y[j]) for i in range(m) for j in range(m) if i != j)
    of_both = sum(kernel(x, y) for x in X for y in Y)
    return of_x / n / (n - 1) + of_y / m / (m - 1) - 2 * of_both / n / m


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_discrepancy_is_the_mean_over_all_pairs(rng, scale):
    X, Y = rng.normal(size=(7, 3)), 1 + rng.normal(size=(5, 3))

    def rbf(x, y):
        return rbf_kernel([x], [y], gamma=1 / (2 * scale**2)).item()

    def inverse_multiquadratic(x, y):
        return scale**2 / (scale**2 + np.sum((x - y) ** 2))

    for kernel in (rbf, inverse_multiquadratic):
        found = maximum_mean_discrepancy(X, Y, kernel=kernel.__name__, scale=scale)
        assert found == pytest.approx(enumerated(X, Y, kernel))


def test_discrepancy_of_gaussians(rng):
    # Of N(0, a^2) and N(m, b^2) with the kernel exp(-d^2 / 2): expectations of the kernel are
    # densities of a Gaussian times the root of 2 pi.
    a, b, m = 1.0, 0.5, 1.5

    def mean_kernel(variance, shift):
        return np.exp(-(shift**2) / (2 * (1 + variance))) / np.sqrt(1 + variance)

    expected = mean_kernel(2 * a**2, 0) + mean_kernel(2 * b**2, 0)
    expected -= 2 * mean_kernel(a**2 + b**2, m)
    X, Y = a * rng.normal(size=(4000, 1)), m + b * rng.normal(size=(4000, 1))
    assert maximum_mean_discrepancy(X, Y, scale=1.0) == pytest.approx(expected, abs=0.02)
    same = maximum_mean_discrepancy(X, a * rng.normal(size=(4000, 1)), scale=1.0)
    assert same == pytest.approx(0, abs=0.002)


def test_default_scale_is_the_mean_distance_of_two_rows(rng):
    X, Y = rng.normal(size=(9, 2)), rng.normal(size=(8, 2))
    both = np.vstack([X, Y])
    squared = [np.sum((x - y) ** 2) for i, x in enumerate(both) for y in both[:i]]
    by_hand = maximum_mean_discrepancy(X, Y, scale=np.sqrt(np.mean(squared)))
    assert maximum_mean_discrepancy(X, Y) == pytest.approx(by_hand)
    assert maximum_mean_discrepancy([[1.0], [1.0]], [[1.0], [1.0]]) == 0


def test_chunks_do_not_change_the_results(rng):
    X, Y = rng.normal(size=(700, 4)), rng.normal(size=(600, 4))

    def results():
        return maximum_mean_discrepancy(X, Y), *parzen_log_likelihood(X, Y, 0.5)

    whole = results()
    with config_context(working_memory=0.1):  # MiB, where the table of distances has 3.2
        assert_allclose(results(), whole, rtol=1e-10, atol=1e-14)


def test_memory_is_bounded():
    # All distances would take 480 MB.
    program = """
        import resource, sklearn, numpy as np
        from skae.metrics import maximum_mean_discrepancy, parzen_log_likelihood
        X = np.random.default_rng(0).normal(size=(15_000, 2))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with sklearn.config_context(working_memory=20):
            parzen_log_likelihood(X, X[:4000], 0.1)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = [sys.executable, "-c", textwrap.dedent(program)]
    grown = int(subprocess.run(done, capture_output=True, text=True, check=True).stdout)
    unit = 1024 if sys.platform != "darwin" else 1
    assert grown * unit < 200e6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance([[1.0]], [[1.0], [2.0]]), r"minimum of 2 is required"),
        (lambda: frechet_distance([[np.nan], [1.0]], [[1.0], [2.0]]), r"X contains NaN"),
        (lambda: frechet_distance(np.ones((2, 2)), np.ones((2, 3))), r"X and Y .* 2 and 3"),
        (lambda: parzen_log_likelihood([[1.0]], [[1.0, 2.0]], 1), r"X and samples .* 1 and 2"),
        (lambda: parzen_log_likelihood([[1.0]], [[1.0]], 0), r"bandwidth must be .* got 0"),
        (lambda: mode_coverage([[1.0]], [[1.0]], np.inf), r"radius must be .* got inf"),
        (lambda: mode_coverage([1.0], [[1.0]], 1), r"Expected 2D array"),
        (lambda: maximum_mean_discrepancy([[1.0]], [[1.0], [2]]), r"minimum of 2 is required"),
        (
            lambda: maximum_mean_discrepancy([[1.0], [2]], [[1.0], [2]], kernel="linear"),
            r"kernel must be one of .*'rbf'.* got 'linear'",
        ),
        (
            lambda: maximum_mean_discrepancy([[1.0], [2]], [[1.0], [2]], scale=-1),
            r"scale must be a finite number above 0, got -1",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=rf"(?s){message}"):
        call()


def test_coverage_does_not_depend_on_an_offset():
    X = np.random.default_rng(0).normal(size=(200, 3))
    near, far = mode_coverage(X, X[:3], 1.0), mode_coverage(X + 2.0**27, X[:3] + 2.0**27, 1.0)
    assert far.n_modes == near.n_modes
    assert far.high_quality == near.high_quality
