"""What the output of a decoder means: its errors, its parameters, and those of a user."""

import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from skae import Autoencoder, DenoisingAutoencoder, config_context
from skae._training import Batch
from skae.layers import Conv2d, Dense
from skae.outputs import (
    OUTPUTS,
    AbsoluteError,
    BinaryCrossEntropy,
    Categorical,
    ContinuousBernoulli,
    Gaussian,
    Huber,
    Output,
    Poisson,
    SquaredError,
)

NAMED = {
    "squared_error": SquaredError(),
    "absolute_error": AbsoluteError(),
    "huber": Huber(delta=1.0),
    "binary_cross_entropy": BinaryCrossEntropy(),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_name_is_the_output_with_its_default_parameters(digits, name):
    by_name = quick(Autoencoder, loss=name).fit(digits[:300])
    given = quick(Autoencoder, loss=NAMED[name]).fit(digits[:300])
    assert_array_equal(given.transform(digits), by_name.transform(digits))
    assert_array_equal(given.score_samples(digits), by_name.score_samples(digits))


@pytest.mark.parametrize("delta", [0.1, 0.5, 1.0, 20.0])
def test_huber_is_that_of_torch_with_its_gradient(delta):
    output = torch.linspace(-3, 3, 601, dtype=torch.float64).requires_grad_()
    target = torch.zeros(601, dtype=torch.float64)
    for given in (delta, torch.tensor(delta, dtype=torch.float64)):
        error = Huber(given).error(output, target)
        expected = F.huber_loss(output, target, reduction="none", delta=delta)
        assert_allclose(error.detach(), expected.detach(), rtol=1e-14)
        gradient, slope = (torch.autograd.grad(e.sum(), output)[0] for e in (error, expected))
        assert_allclose(gradient, slope, rtol=1e-14, atol=1e-15)


def test_huber_is_a_scikit_learn_parameter_object(digits):
    autoencoder = quick(Autoencoder, loss=Huber(delta=0.5))
    assert clone(autoencoder).get_params()["loss__delta"] == 0.5
    assert repr(Huber(delta=0.5)) == "Huber(delta=0.5)"
    # Its scale is that of the squared error for few, of the absolute one for many entries.
    fitted = autoencoder.fit(digits)
    left = np.abs(digits - fitted.reconstruct(digits))
    expected = np.where(left < 0.5, left**2 / 2, 0.5 * (left - 0.25))
    assert_allclose(
        fitted.reconstruction_error(digits, per_feature=True), expected, rtol=1e-4, atol=1e-7
    )
    # The fit is not changed by its parameters afterwards, and a search reaches them.
    scores = fitted.score_samples(digits)
    fitted.set_params(loss__delta=0.1)
    assert_array_equal(fitted.score_samples(digits), scores)
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).score_samples(digits), scores)
    grid = GridSearchCV(autoencoder, {"loss__delta": [0.01, 0.5]}, cv=2).fit(digits[:100])
    low, high = grid.cv_results_["mean_test_score"]
    assert low > 0.2 * high  # minus an error of at most 0.01 times the difference


@pytest.mark.parametrize("delta", [0.0, -1.0, "wide"])
def test_bad_parameters_of_an_output(table, delta):
    with pytest.raises(ValueError, match="'delta' parameter of Huber"):
        quick(Autoencoder, loss=Huber(delta=delta)).fit(table)


def test_objects_that_are_no_output(table):
    with pytest.raises(ValueError, match=r"'loss'.*'huber'.*'error'.*'mean'"):
        quick(Autoencoder, loss=object()).fit(table)


def test_binary_cross_entropy_is_minus_the_log_probability():
    logits = torch.linspace(-5, 5, 11, dtype=torch.float64)
    output, p = BinaryCrossEntropy(), special.expit(np.linspace(-5, 5, 11))
    ones, zeros = torch.ones_like(logits), torch.zeros_like(logits)
    assert_allclose(output.log_prob(logits, ones), stats.bernoulli.logpmf(1, p), rtol=1e-12)
    assert_allclose(output.log_prob(logits, zeros), stats.bernoulli.logpmf(0, p), rtol=1e-12)
    assert_array_equal(output.error(logits, ones), -output.log_prob(logits, ones))
    assert_allclose(output.mean(logits), p, rtol=1e-12)


def test_samples_of_the_bernoulli_output_have_its_mean():
    n = 40_000
    logits = torch.tensor([-2.0, 0.0, 0.5]).expand(n, 3)
    noise = torch.rand(n, 3, generator=torch.Generator().manual_seed(0))
    drawn = BinaryCrossEntropy().sample(logits, noise)
    assert set(drawn.unique().tolist()) == {0, 1}
    p = special.expit(np.array([-2.0, 0.0, 0.5]))
    assert (np.abs(drawn.mean(0).numpy() - p) < 4.5 * np.sqrt(p * (1 - p) / n)).all()


# -- recorded steps ------------------------------------------------------------------------


def test_the_parameter_of_an_output_is_no_part_of_the_structure_but_counts(digits):
    modules = [quick(Autoencoder, loss=Huber(d)).fit(digits).module_ for d in (0.1, 0.5)]
    assert modules[0].structure() == modules[1].structure() is not None
    # Both fits share a recorded step, and each is that of its own parameter.
    with config_context(record_steps=False):
        for module, delta in zip(modules, (0.1, 0.5), strict=True):
            alone = quick(Autoencoder, loss=Huber(delta)).fit(digits).module_
            for weight, expected in zip(module.parameters(), alone.parameters(), strict=True):
                assert torch.equal(weight, expected)


# -- outputs of a user -----------------------------------------------------------------------


class Pinball(Output):
    """Errors upwards and downwards, weighted differently."""

    def __init__(self, quantile=0.5):
        self.quantile = quantile

    def error(self, output, target):
        if self.quantile == 0.5:
            return (target - output).abs() / 2
        left = target - output
        return torch.maximum(self.quantile * left, (self.quantile - 1) * left)


class Cosh:
    """A plain object with the two methods, and a count that no step may be recorded without."""

    n_calls = 0

    def error(self, output, target):
        self.n_calls += 1
        return (output - target).cosh().log()

    def mean(self, output):
        return output


class Scaled(nn.Module):
    """A module with something to learn."""

    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def error(self, output, target):
        return (output - target).abs() * (-self.log_scale).exp() + self.log_scale

    def mean(self, output):
        return output


def test_an_output_of_a_user_works_by_autograd(table):
    for quantile in (0.2, 0.5, 0.8):
        fitted = quick(
            Autoencoder,
            n_components=1,
            hidden_layers=(),
            loss=Pinball(quantile),
            learning_rate=1e-2,
            max_iter=400,
            n_iter_no_change=400,
            batch_size=300,
        ).fit(table)
        below = (table < fitted.reconstruct(table)).mean(axis=0)
        assert_allclose(below, quantile, atol=0.05)
        assert fitted.module_.structure() is None
    median = quick(Autoencoder, loss=Pinball(0.5)).fit(table)
    absolute = quick(Autoencoder, loss="absolute_error").fit(table)
    assert_allclose(2 * median.score(table), absolute.score(table), rtol=1e-3)


def test_any_object_with_the_methods_is_an_output(table):
    given = Cosh()
    fitted = quick(DenoisingAutoencoder, loss=given, batch_size=50).fit(table)
    left = table - fitted.reconstruct(table)
    assert_allclose(
        fitted.reconstruction_error(table, per_feature=True), np.log(np.cosh(left)), atol=1e-12
    )
    assert given.n_calls == 0  # the fit has a copy
    calls = fitted.module_.output().n_calls
    assert calls >= 30  # one for each of six batches in five epochs: none was recorded
    assert_array_equal(clone(fitted).fit(table).transform(table), fitted.transform(table))


def test_an_output_may_learn(table):
    settings = dict(hidden_layers=(), n_components=1, learning_rate=1e-2, batch_size=300)
    settings |= dict(max_iter=1500, n_iter_no_change=1500)
    fitted = quick(Autoencoder, loss=Scaled(), **settings).fit(table)
    (scale,) = [p for name, p in fitted.module_.named_parameters() if "log_scale" in name]
    # The best scale of a Laplace distribution is its mean absolute deviation.
    left = np.abs(table - fitted.reconstruct(table)).mean()
    assert scale.exp().item() == pytest.approx(left, rel=0.05)


class NormalWithVariance:
    """Two numbers per feature: the mean and the logarithm of the variance."""

    n_outputs_per_feature = 2

    def error(self, output, target):
        mean, log_variance = output.unbind(-1)
        return (target - mean) ** 2 / log_variance.exp() / 2 + log_variance / 2

    def mean(self, output):
        return output[..., 0]


def test_an_output_of_two_numbers_per_feature():
    # Column 1 varies ten times as much as column 0, which no reconstruction tells.
    X = np.random.default_rng(0).normal(size=(500, 2)) * [0.3, 3.0]
    settings = dict(hidden_layers=(), n_components=1, learning_rate=1e-2, max_iter=500, tol=0)
    fitted = quick(Autoencoder, loss=NormalWithVariance(), weight_decay=10.0, **settings).fit(X)
    assert fitted.reconstruct(X).shape == X.shape
    module, x = fitted.module_, torch.from_numpy(X).float()
    output = module.decoder_output(module.encode(x)).detach()
    assert output.shape == (500, 2, 2)
    assert_allclose(output[..., 1].exp().mean(0).sqrt(), X.std(axis=0), rtol=0.1)
    assert module.loss(Batch(x), None).shape == (500,)


@pytest.mark.parametrize("layers", [Dense((4,), tied_weights=True), Conv2d((1, 1, 5))], ids=repr)
def test_layers_that_give_one_number_per_feature(table, layers):
    with pytest.raises(ValueError, match=r"takes 2 numbers per feature.*without tied_weights"):
        quick(Autoencoder, loss=NormalWithVariance(), hidden_layers=layers).fit(table)


def test_two_numbers_per_feature_cannot_start_from_pca(table):
    with pytest.raises(ValueError, match=r"init='pca'.*one number per feature"):
        quick(Autoencoder, n_components=2, loss=NormalWithVariance(), init="pca").fit(table)


# -- distributions --------------------------------------------------------------------------------

LOGITS = torch.tensor([[-20.0, -2.0, -1e-4, 0.0, 0.3, 5.0]], dtype=torch.float64)


def quantiles(n_rows: int) -> torch.Tensor:
    """Return equally spaced uniform numbers in each of six columns."""
    return ((torch.arange(n_rows, dtype=torch.float64) + 0.5) / n_rows)[:, None].expand(-1, 6)


def test_gaussian_is_that_of_scipy():
    target = torch.linspace(-2, 2, 6, dtype=torch.float64)[None]
    given = Gaussian(variance=0.3)
    expected = stats.norm.logpdf(target, LOGITS, 0.3**0.5)
    assert_allclose(given.log_prob(LOGITS, target), expected, rtol=1e-12)
    assert_array_equal(given.error(LOGITS, target), -given.log_prob(LOGITS, target))
    drawn = given.sample(LOGITS, quantiles(9))
    assert_allclose(drawn, stats.norm.ppf(quantiles(9), LOGITS, 0.3**0.5), rtol=1e-8, atol=1e-9)


def test_continuous_bernoulli_has_a_density_and_its_mean():
    output, steps = ContinuousBernoulli(), 20_000
    values = quantiles(steps)
    density = output.log_prob(LOGITS.expand(steps, -1), values).exp()
    assert_allclose(density.mean(0), 1, rtol=1e-3)
    assert_allclose(output.mean(LOGITS)[0], (density * values).mean(0), rtol=1e-3)
    drawn = output.sample(LOGITS.expand(steps, -1), quantiles(steps))
    assert_allclose(drawn.mean(0), output.mean(LOGITS)[0], rtol=1e-3)


def test_poisson_is_that_of_scipy():
    log_mean, counts = LOGITS.clamp(max=3), torch.tensor([[0.0, 1, 2, 3, 4, 30]])
    expected = stats.poisson.logpmf(counts, log_mean.exp())
    assert_allclose(Poisson().log_prob(log_mean, counts), expected, rtol=1e-6)
    drawn = Poisson().sample(log_mean.expand(5000, -1), quantiles(5000))
    assert_allclose(drawn.mean(0), log_mean[0].exp(), rtol=0.01, atol=1e-3)


@pytest.mark.parametrize(
    ("categories", "choices"),
    [
        (None, [[0, 1, 2, 3, 4, 5]]),
        ((2, 4), [[0, 1], [2, 3, 4, 5]]),
        (3, [[0, 2, 4], [1, 3, 5]]),  # three channels of two pixels
    ],
)
def test_categorical_is_a_softmax_of_each_choice(categories, choices):
    output, odds = Categorical(categories), LOGITS.clamp(-2, 2)
    mean = output.mean(odds)[0]
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.random((20_000, 6)))
    drawn = output.sample(odds.expand(20_000, -1), noise)
    for choice in choices:
        assert_allclose(mean[choice], special.softmax(odds[0, choice]), rtol=1e-12)
        assert_array_equal(drawn[:, choice].sum(1), 1)
    assert_allclose(drawn.mean(0), mean, atol=0.02)
    target = drawn[:1]
    log_prob = output.log_prob(odds, target)
    assert_allclose(log_prob.sum(), mean[target[0] == 1].log().sum(), rtol=1e-12)
    output.check_values(drawn.numpy())
    with pytest.raises(ValueError, match="one indicator of 1"):
        output.check_values(1 - drawn.numpy())


def test_autoencoders_take_distributions_too(digits):
    fitted = quick(Autoencoder, loss=Gaussian(), max_iter=60, learning_rate=0.01).fit(digits)
    variance = fitted.module_.output().noise_variance(torch.empty(0)).detach().numpy()
    left = ((digits - fitted.reconstruct(digits)) ** 2).mean(axis=0)
    # What is learned moves to the mean squared error of each feature.
    before = np.maximum(digits.var(axis=0), 1e-4)
    assert np.corrcoef(np.log(variance), np.log(left + 1e-4))[0, 1] > 0.9
    assert (variance < before).mean() > 0.7
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.score_samples(digits), fitted.score_samples(digits))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_continuous_bernoulli_at_large_logits(dtype):
    # Far out it is an exponential distribution of the distance from the nearer end.
    logits = torch.tensor([[40.0, -40.0, 500.0]], dtype=dtype)
    target = torch.tensor([[0.99, 0.01, 1.0]], dtype=dtype)
    distance = np.array([[0.01, 0.01, 0.0]])
    rate = logits.abs().numpy()
    output = ContinuousBernoulli()
    assert_allclose(output.log_prob(logits, target), np.log(rate) - rate * distance, rtol=1e-4)
    assert_allclose(output.mean(logits), [[1 - 1 / 40, 1 / 40, 1 - 1 / 500]], rtol=1e-5)


def test_choices_are_the_loss_of_an_autoencoder_too():
    X = np.eye(5)[np.random.default_rng(0).integers(0, 5, 100)]
    fitted = quick(Autoencoder, loss=Categorical(), max_iter=50, learning_rate=0.01).fit(X)
    assert_allclose(fitted.reconstruct(X).sum(1), 1, rtol=1e-5)
    assert_array_equal(fitted.reconstruct(X).argmax(1), X.argmax(1))


@pytest.mark.parametrize("categories", [(1.5, 1.5), (4, -1), (2, 0), True])
def test_numbers_of_categories(categories):
    with pytest.raises(ValueError, match="categories"):
        quick(Autoencoder, loss=Categorical(categories)).fit(np.eye(3))
