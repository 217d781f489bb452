"""The variational autoencoder beside what theory says of it."""

import copy

import numpy as np
import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import Autoencoder, VariationalAutoencoder
from skae._random import Generator, seeded_initialisation
from skae._training import Batch
from skae.autoencoders._evidence import divergence_from_prior
from skae.layers import BatchNorm, Conv2d, Dense
from skae.outputs import Categorical, Gaussian

VARIANCE = 0.25


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Return 600 rows of two factors and normal noise, of which the model is right."""
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(2, 6))
    noise = VARIANCE**0.5 * rng.normal(size=(600, 6))
    return (rng.normal(size=(600, 2)) @ loadings + noise + 1).astype(np.float32)


@pytest.fixture(scope="module")
def linear(rows) -> VariationalAutoencoder:
    """Return a linear one with the noise of probabilistic PCA."""
    noise = PCA(2).fit(rows).noise_variance_
    return VariationalAutoencoder(
        2,
        hidden_layers=(),
        likelihood=Gaussian(variance=noise),
        learning_rate=0.01,
        learning_rate_schedule="linear",
        max_iter=300,
        tol=0,
        n_iter_no_change=300,
        n_score_samples=200,
        random_state=0,
        device="cpu",
    ).fit(rows)


def marginal(autoencoder) -> stats._multivariate.multivariate_normal_frozen:
    """Return the distribution of the rows that a linear decoder stands for."""
    decoder = autoencoder.module_.decoder[0]
    loadings = decoder.weight.detach().numpy().astype(float)
    noise = np.diag(np.broadcast_to(autoencoder.noise_variance_, len(loadings)))
    return stats.multivariate_normal(decoder.bias.detach().numpy(), loadings @ loadings.T + noise)


def module_of(x, **parameters):
    """Return an untrained module whose codes have different variances."""
    with seeded_initialisation(0):
        module = VariationalAutoencoder(3, **parameters)._make_module(x.shape[1])
        *_, last = module.encoder.modules()
        torch.nn.init.normal_(last.weight, std=0.3)
    return module.double().train()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


# -- twins --------------------------------------------------------------------------------------


def test_a_linear_one_reaches_the_likelihood_of_probabilistic_pca(linear, rows):
    best = PCA(2).fit(rows).score(rows)  # the maximum likelihood of this model
    assert best - 0.05 < linear.score(rows) <= best
    assert linear.elbo(rows).mean() <= linear.score(rows)


def test_the_bound_rises_with_the_samples_to_the_exact_likelihood(linear, rows):
    exact = marginal(linear).logpdf(rows)
    X, scores = rows.astype(np.float64), []
    for n in (1, 10, 100, 3000):
        scores.append(linear.set_params(n_score_samples=n).score_samples(X))
    linear.set_params(n_score_samples=200)
    assert (np.diff(np.mean(scores[:3], axis=1)) > 0).all()
    assert_allclose(scores[-1], exact, atol=0.05)


def test_without_prior_and_noise_it_is_an_autoencoder(x):
    module = module_of(x, beta=0.0, likelihood=Gaussian(variance=0.5), hidden_layers=(4,))
    with seeded_initialisation(0):
        plain = Autoencoder(3, hidden_layers=(4,))._make_module(5).double()
    plain.decoder.load_state_dict(module.decoder.state_dict())
    means = {name: value[:3] for name, value in module.encoder[-1].state_dict().items()}
    plain.encoder[0].load_state_dict(module.encoder[0].state_dict())
    plain.encoder[-1].load_state_dict(means)
    normal, *others = module.sample_noise(Batch(x), Generator(0))
    loss = module.loss(Batch(x), (torch.zeros_like(normal), *others))
    # A squared error of 1 costs 1 / (2 * 0.5) nats; the rest is the norm of the density.
    norm = 5 * 0.5 * np.log(2 * np.pi * 0.5)
    assert_allclose((loss - norm).detach(), 5 * plain.loss(Batch(x), None).detach(), rtol=1e-6)


def test_divergence_is_the_mean_over_draws(x):
    mean, log_variance = x[:1, :3], x[1:2, :3]
    code = mean + (0.5 * log_variance).exp() * Generator(0).normal((200_000, 3), x.dtype)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    drawn = posterior.log_prob(code) - torch.distributions.Normal(0, 1).log_prob(code)
    error = drawn.std(0) / 200_000**0.5
    difference = divergence_from_prior(mean, log_variance)[0] - drawn.mean(0)
    assert (difference.abs() < 4 * error).all()


# -- bounds -------------------------------------------------------------------------------------


def test_one_importance_sample_is_the_bound_with_the_divergence_of_the_draw(x):
    one, several = module_of(x), module_of(x, n_importance_samples=400)
    several.load_state_dict(one.state_dict())
    noise = several.sample_noise(Batch(x), Generator(0))
    each = [one.loss(Batch(x), (normal, None, None)).detach() for normal in noise[0].split(len(x))]
    # The mean over the draws is the plain bound, which the importance weighted one exceeds.
    assert (several.loss(Batch(x), noise) < torch.stack(each).mean(0)).all()


def test_doubly_reparameterized_gradients_have_the_same_mean_and_less_variance(x):
    plain = module_of(x, n_importance_samples=8)
    doubly = module_of(x, n_importance_samples=8, doubly_reparameterized=True)
    doubly.load_state_dict(plain.state_dict())
    generator, gradients = Generator(0), {plain: [], doubly: []}
    for _ in range(100):
        noise = plain.sample_noise(Batch(x), generator)
        losses = [module.loss(Batch(x), noise) for module in gradients]
        assert_allclose(losses[0].detach(), losses[1].detach(), rtol=1e-10)
        of_decoder = [
            torch.autograd.grad(loss.mean(), list(module.decoder.parameters()), retain_graph=True)
            for module, loss in zip(gradients, losses, strict=True)
        ]
        for one, other in zip(*of_decoder, strict=True):
            assert_allclose(one, other, rtol=1e-6, atol=1e-12)
        for (module, kept), loss in zip(gradients.items(), losses, strict=True):
            found = torch.autograd.grad(loss.mean(), list(module.encoder.parameters()))
            kept.append(torch.cat([g.flatten() for g in found]))
    one, other = (torch.stack(kept) for kept in gradients.values())
    error = (one.var(0) + other.var(0)).div(100).sqrt()
    assert ((one.mean(0) - other.mean(0)).abs() <= 5 * error + 1e-12).all()
    assert other.var(0).sum() < 0.5 * one.var(0).sum()


def test_running_statistics_move_once_a_step(rows):
    layers = Dense((4,), batch_norm=True)
    settings = dict(n_importance_samples=3, doubly_reparameterized=True, max_iter=2, tol=0)
    autoencoder = quick(VariationalAutoencoder, hidden_layers=layers, batch_size=100, **settings)
    norms = [m for m in autoencoder.fit(rows).module_.modules() if isinstance(m, BatchNorm)]
    assert [int(norm.num_batches_tracked) for norm in norms] == [2 * 6] * 2


def divergences(module, x):
    return divergence_from_prior(*module.posterior(x)).detach()


def fit_of(module, x, noise):
    mean, log_variance = module.posterior(x)
    return module.log_prob(mean + (0.5 * log_variance).exp() * noise[0], x).detach()


def test_free_bits_cost_nothing_less(x):
    plain, free = module_of(x), module_of(x, free_bits=0.05)
    noise = plain.sample_noise(Batch(x), Generator(0))
    each = divergences(plain, x).mean(0)
    assert (each < 0.05).any()
    assert (each > 0.05).any()
    expected = each.clamp(min=0.05).sum() - fit_of(plain, x, noise)
    assert_allclose(free.loss(Batch(x), noise).detach(), expected, rtol=1e-6)
    # A row of weight 2 counts as two rows.
    weight = torch.ones(7, dtype=x.dtype)
    weight[0] = 2
    twice = divergences(plain, torch.cat([x[:1], x])).mean(0).clamp(min=0.05).sum()
    loss = free.loss(Batch(x, weight), noise).detach()
    assert_allclose(loss, twice - fit_of(plain, x, noise), rtol=1e-6)


def test_capacity_is_where_the_divergence_is_drawn_to(x):
    plain, drawn = module_of(x), module_of(x, capacity=2.0, beta=3.0)
    noise = plain.sample_noise(Batch(x), Generator(0))
    excess = (divergences(plain, x).mean(0).sum() - 2.0).abs()
    loss = drawn.loss(Batch(x), noise).detach()
    assert_allclose(loss, 3 * excess - fit_of(plain, x, noise), rtol=1e-10)


def test_beta_rises_over_the_warm_up(x):
    warming = module_of(x, beta=2.0, beta_warmup=4)
    noise = warming.sample_noise(Batch(x), Generator(0))
    divergence, fit = divergences(warming, x).sum(1), fit_of(warming, x, noise)
    for beta in (0.5, 1.0, 1.5, 2.0, 2.0):
        assert_allclose(warming.loss(Batch(x), noise).detach(), beta * divergence - fit)
        warming.end_epoch(None)
    # Validation rows see the end of it at any time.
    loss = module_of(x, beta=2.0, beta_warmup=4).eval().loss(Batch(x), noise).detach()
    assert_allclose(loss, 2 * divergence - fit)


def test_patience_begins_after_the_warm_up(rows):
    settings = dict(max_iter=100, tol=1e4, n_iter_no_change=3)  # nothing is an improvement
    assert quick(VariationalAutoencoder, **settings).fit(rows).n_iter_ == 4
    warming = quick(VariationalAutoencoder, beta_warmup=20, **settings).fit(rows)
    assert warming.n_iter_ == 24
    assert warming.module_.n_epochs == 24


def test_the_score_of_the_module_is_that_of_the_estimator(linear, rows):
    x = torch.from_numpy(rows[:9].astype(np.float64))
    double = copy.deepcopy(linear.module_).double()
    with torch.no_grad():
        assert_allclose(double.log_score(x, 200), linear.score_samples(x.numpy()), rtol=1e-10)


# -- what is read ---------------------------------------------------------------------------------


def test_codes_are_the_means_of_the_posteriors(linear, rows):
    mean, std = linear.posterior(rows)
    assert_array_equal(mean, linear.transform(rows))
    # Bayes: the precision of the posterior of a linear model is that of the prior and of the data.
    loadings = linear.module_.decoder[0].weight.detach().numpy()
    precision = np.eye(2) + loadings.T @ loadings / linear.noise_variance_
    # The best one with independent components has the diagonal of the precision.
    assert_allclose(std.mean(0), np.diag(precision) ** -0.5, rtol=0.15)


def test_samples_have_the_distribution_of_the_model(linear):
    X = linear.sample(20_000, random_state=0)
    expected = marginal(linear)
    assert_allclose(X.mean(0), expected.mean, atol=0.05)
    assert_allclose(np.cov(X.T), expected.cov, atol=0.15)
    means = linear.sample(20_000, random_state=0, return_mean=True)
    noise = linear.noise_variance_ * np.eye(6)
    assert_allclose(np.cov(means.T), expected.cov - noise, atol=0.15)
    assert_array_equal(linear.sample(3, random_state=1), linear.sample(3, random_state=1))
    assert linear.sample(3).dtype == np.float32


def test_a_mixture_of_codes_leaves_the_gap_between_groups():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4)) + np.repeat([[-8.0], [8.0]], 200, axis=0)
    autoencoder = VariationalAutoencoder(
        1,
        hidden_layers=(16,),
        likelihood=Gaussian(variance=1.0),
        learning_rate=0.01,
        max_iter=300,
        random_state=0,
    ).fit(X)
    gap = [
        (np.abs(autoencoder.sample(2000, 0, sampler=name).mean(1)) < 5).mean()
        for name in ("gmm", "prior")
    ]
    assert gap[0] < 0.05
    assert gap[0] < gap[1]


def test_samples_of_a_mixture_come_in_no_order():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4)) + np.repeat([[-8.0], [8.0]], 100, axis=0)
    autoencoder = VariationalAutoencoder(
        1,
        hidden_layers=(16,),
        likelihood=Gaussian(variance=1.0),
        learning_rate=0.01,
        max_iter=50,
        tol=0,
        n_iter_no_change=50,
        random_state=0,
    )
    with pytest.warns(ConvergenceWarning):
        autoencoder.fit(X)
    codes = autoencoder.transform(autoencoder.sample(1000, 0, sampler="gmm", return_mean=True))
    drawn = autoencoder.code_mixture_.predict(codes)
    halves = np.array([np.bincount(half, minlength=10) for half in np.split(drawn, 2)])
    kept = halves.sum(axis=0) > 0
    assert kept.sum() > 1
    assert stats.chi2_contingency(halves[:, kept]).pvalue > 1e-3
    assert_array_equal(*(autoencoder.sample(20, 3, sampler="gmm") for _ in range(2)))


def test_interpolation_goes_from_one_reconstruction_to_the_other(linear, rows):
    way = linear.interpolate(rows[:5], rows[5:10], n_steps=4)
    assert way.shape == (5, 4, 6)
    assert_allclose(way[:, 0], linear.reconstruct(rows[:5]), rtol=1e-5, atol=1e-5)
    assert_allclose(way[:, -1], linear.reconstruct(rows[5:10]), rtol=1e-5, atol=1e-5)
    assert_allclose(np.diff(way, 2, axis=1), 0, atol=1e-5)  # the decoder is linear


def test_images_keep_their_shape(digits):
    images = digits[:200].reshape(-1, 1, 8, 8)
    layers = Conv2d((1, 8, 8), (4,))
    autoencoder = quick(VariationalAutoencoder, hidden_layers=layers).fit(images)
    assert autoencoder.sample(3).shape == (3, 1, 8, 8)
    assert autoencoder.sample(3, sampler="gmm", return_mean=True).shape == (3, 1, 8, 8)
    assert autoencoder.interpolate(images[:2], images[2:4], 5).shape == (2, 5, 1, 8, 8)
    assert autoencoder.reconstruction_error(images).shape == (200,)


def test_reconstruction_error_is_that_of_the_mean_code(linear, rows):
    entries = stats.norm.logpdf(rows, linear.reconstruct(rows), linear.noise_variance_**0.5)
    error = linear.reconstruction_error(rows, per_feature=True)
    assert_allclose(error, -entries, rtol=1e-4, atol=1e-4)
    assert_allclose(linear.reconstruction_error(rows), error.mean(1), rtol=1e-5)


def test_learned_variance_is_that_of_the_noise(rows):
    autoencoder = VariationalAutoencoder(2, hidden_layers=(), learning_rate=0.01, random_state=0)
    autoencoder.set_params(max_iter=300, tol=0, n_iter_no_change=300).fit(rows)
    assert_allclose(autoencoder.noise_variance_.mean(), VARIANCE, rtol=0.15)
    assert PCA(2).fit(rows).score(rows) - 0.1 < autoencoder.score(rows)


def test_what_each_component_holds(rows):
    weight = np.arange(len(rows)) % 3
    autoencoder = quick(VariationalAutoencoder, n_components=4, max_iter=100, free_bits=0.01)
    autoencoder.fit(rows, sample_weight=weight)
    mean, std = autoencoder.posterior(rows)
    prior = torch.distributions.Normal(0.0, 1.0)
    posterior = torch.distributions.Normal(torch.from_numpy(mean), torch.from_numpy(std))
    each = torch.distributions.kl_divergence(posterior, prior).numpy()
    assert_allclose(
        autoencoder.kl_per_component_, np.average(each, axis=0, weights=weight), rtol=1e-4
    )
    variance = np.cov(mean.T, aweights=weight, ddof=0).diagonal()
    assert_array_equal(autoencoder.active_components_, variance > 0.01)


def test_a_collapsed_posterior_is_told(rows):
    with pytest.warns(UserWarning, match="Lower beta"):
        quick(VariationalAutoencoder, beta=1000.0, max_iter=200, learning_rate=0.01).fit(rows)


def test_in_a_grid_search_over_its_bound(rows):
    pipeline = make_pipeline(StandardScaler(), quick(VariationalAutoencoder, max_iter=300))
    pipeline.set_params(variationalautoencoder__learning_rate=0.01)
    grid = {"variationalautoencoder__n_components": [1, 2]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(rows)
    assert search.best_params_["variationalautoencoder__n_components"] == 2


# -- bad parameters and rows -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"hidden_layers": Dense((4,), tied_weights=True)}, "tied_weights=False"),
        ({"capacity": 1.0, "free_bits": 0.1}, "capacity and free_bits exclude each other"),
        ({"n_importance_samples": 2, "free_bits": 0.1}, "exclude each other"),
        ({"n_importance_samples": 0}, "n_importance_samples"),
        ({"likelihood": "squared_error"}, "likelihood"),
        ({"likelihood": "poisson"}, "needs counts"),
        ({"likelihood": "continuous_bernoulli"}, "between 0 and 1"),
        ({"likelihood": "categorical"}, "OneHotEncoder"),
        ({"likelihood": Categorical(categories=(2, 2))}, "add up"),
        ({"likelihood": Categorical(categories=4)}, "add up"),
    ],
)
def test_what_does_not_fit_is_refused(rows, parameters, sentence):
    with pytest.raises(ValueError, match=sentence):
        quick(VariationalAutoencoder, **parameters).fit(rows)


def test_bad_calls(linear, rows):
    with pytest.raises(ValueError, match="n_samples"):
        linear.sample(0)
    with pytest.raises(ValueError, match="'prior' or 'gmm'"):
        linear.sample(1, sampler="posterior")
    with pytest.raises(ValueError, match="5 rows and X_b has 4"):
        linear.interpolate(rows[:5], rows[:4])
    with pytest.raises(ValueError, match="n_steps"):
        linear.interpolate(rows[:5], rows[:5], n_steps=1)


@pytest.mark.parametrize(
    ("likelihood", "inside", "outside"),
    [
        ("poisson", [[0.0, 3.0]], [[0.0, -1.0], [-5.0, 2.0], [0.5, 1.0]]),
        ("bernoulli", [[0.0, 1.0]], [[0.0, 3.0], [-1.0, 0.0]]),
        ("continuous_bernoulli", [[0.2, 1.0]], [[0.2, 1.1], [-0.1, 0.5]]),
        ("categorical", [[0.0, 1.0]], [[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]),
    ],
)
def test_what_the_likelihood_excludes_scores_minus_infinity(likelihood, inside, outside):
    X = np.repeat(np.array([*inside, [1.0, 0.0]]), 10, axis=0)
    fitted = quick(VariationalAutoencoder, likelihood=likelihood, n_components=1).fit(X)
    assert np.isfinite(fitted.score_samples(inside)).all()
    assert_array_equal(fitted.score_samples(outside), -np.inf)
    assert_array_equal(fitted.elbo(outside), -np.inf)
    assert np.isfinite(fitted.transform(outside)).all()
    with pytest.raises(ValueError, match="X") if likelihood != "bernoulli" else pytest.warns():
        quick(VariationalAutoencoder, likelihood=likelihood).fit(X, X_val=outside)
