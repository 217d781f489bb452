"""The adversarial autoencoder: its codes have the distribution of the prior."""

import numpy as np
import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal

from skae import AdversarialAutoencoder, Autoencoder
from skae._random import Generator
from skae.autoencoders._priors import PRIORS
from skae.layers import BatchNorm, Dense
from skae.metrics import maximum_mean_discrepancy


@pytest.mark.parametrize("width", [2, 5])
@pytest.mark.parametrize("prior", PRIORS)
def test_mean_squared_distance_of_a_prior(prior, width):
    draws = PRIORS[prior].draw(Generator(0), (20_000, width))
    assert draws.dtype == torch.float32
    squared = float(2 * draws.var(0).sum())
    assert PRIORS[prior].squared_distance(width) == pytest.approx(squared, rel=0.1)


def test_mixture_has_ten_gaussians_on_a_circle():
    draws = PRIORS["gaussian_mixture"].draw(Generator(0), (10_000, 2)).numpy()
    place = np.arctan2(draws[:, 1], draws[:, 0]) / (2 * np.pi / 10)
    counts = np.bincount(np.round(place).astype(int) % 10, minlength=10)
    assert_allclose(counts, 1000, atol=120)
    assert_allclose(np.linalg.norm(draws, axis=1).mean(), 3, atol=0.05)


@pytest.mark.parametrize("regularizer", ["mmd", "adversarial"])
@pytest.mark.parametrize("prior", ["gaussian", "uniform"])
def test_codes_follow_the_prior(digits, prior, regularizer):
    settings = dict(n_components=2, max_iter=40, learning_rate=5e-3, tol=0, batch_size=150)
    plain = quick(Autoencoder, **settings).fit(digits)
    held = quick(AdversarialAutoencoder, prior=prior, regularizer=regularizer, **settings).fit(
        digits
    )
    draws = PRIORS[prior].draw(Generator(1), (1797, 2)).numpy()
    far, near = (maximum_mean_discrepancy(one.transform(digits), draws) for one in (plain, held))
    assert near < 0.03 < far
    assert held.score(digits) > -0.9 * digits.var(0).mean()


def test_without_weight_it_is_the_autoencoder(digits):
    settings = dict(n_components=4, max_iter=3, batch_size=2000)
    plain = quick(Autoencoder, **settings).fit(digits)
    held = quick(AdversarialAutoencoder, alpha=0.0, **settings).fit(digits)
    assert_allclose(held.transform(digits), plain.transform(digits), rtol=1e-4, atol=1e-5)


def test_samples_are_decoded_draws_of_the_prior(digits):
    fitted = quick(AdversarialAutoencoder, n_components=3, prior="swiss_roll").fit(digits)
    samples = fitted.sample(50, random_state=3)
    assert samples.shape == (50, 64)
    assert_array_equal(samples, fitted.sample(50, random_state=3))
    assert_array_equal(fitted.sample(5), fitted.sample(5))
    assert not np.array_equal(samples, fitted.sample(50, random_state=4))
    with pytest.raises(ValueError, match="n_samples must be a positive integer, got 0"):
        fitted.sample(0)


def test_history_of_the_discriminator(digits):
    fitted = quick(AdversarialAutoencoder, regularizer="adversarial").fit(digits)
    assert len(fitted.history_["train_discriminator_loss"]) == 5


def test_running_statistics_move_once_a_step(table):
    settings = dict(hidden_layers=Dense((4,), batch_norm=True), batch_size=100, max_iter=2, tol=0)
    fitted = quick(AdversarialAutoencoder, regularizer="adversarial", **settings).fit(table)
    norms = [layer for layer in fitted.module_.modules() if isinstance(layer, BatchNorm)]
    assert [int(norm.num_batches_tracked) for norm in norms] == [2 * 3] * 2


def test_bad_parameters(table):
    for parameters, message in [
        ({"prior": "cauchy"}, "'prior'.*'swiss_roll'"),
        ({"regularizer": "kl"}, "'regularizer'.*'mmd'"),
        ({"alpha": -1.0}, "'alpha'"),
        ({"prior": "swiss_roll", "n_components": 1}, "needs n_components of at least 2, got 1"),
    ]:
        with pytest.raises(ValueError, match=f"(?s){message}"):
            quick(AdversarialAutoencoder, **parameters).fit(table)
