"""The generative adversarial network, against what theory says of its three networks."""

import numpy as np
import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from skorch.callbacks import Callback, EarlyStopping, Freezer
from torch import nn

from skae import GenerativeAdversarialNetwork
from skae._random import Generator, seeded_initialisation
from skae._training import Batch, Step
from skae._training._optimizers import make_optimizers
from skae.adversarial._diversity import coverage
from skae.adversarial._objectives import OBJECTIVES
from skae.layers import BatchNorm, Conv1d, Conv2d, Dense
from skae.losses import prior_discrepancy, squared_slopes


class Fixed:
    """Layers whose generator returns the code itself."""

    def make_encoder(self, n_features, n_components):
        return nn.Linear(n_features, n_components)

    def make_decoder(self, n_features, n_components, encoder):
        return nn.Identity()


@pytest.fixture(scope="module")
def of_known_densities():
    """Return a network that generates standard normal rows; the real ones are of N(1, 0.7^2)."""
    X = np.random.default_rng(0).normal(1, 0.7, size=(4000, 1))
    network = GenerativeAdversarialNetwork(
        1,
        hidden_layers=Fixed(),
        discriminator_layers=(32,),
        reconstruction_weight=0,
        mmd_weight=0,
        learning_rate=5e-3,
        n_iter=15,
        random_state=0,
        device="cpu",
    )
    return network.fit(X)


def test_the_discriminator_finds_the_ratio_of_two_densities(of_known_densities):
    x = np.linspace(-1, 2.5, 50)[:, None]
    p, q = stats.norm(1, 0.7).pdf(x)[:, 0], stats.norm().pdf(x)[:, 0]
    log_odds = of_known_densities._read(x, lambda module, x: module.row_score(x))
    found = 1 / (1 + np.exp(-log_odds))
    assert_allclose(found, p / (p + q), atol=0.08)


def test_samples_are_chosen_by_the_ratio(of_known_densities):
    every = of_known_densities.sample(4000, n_candidates=1)
    assert_allclose([every.mean(), every.std()], [0, 1], atol=0.06)
    chosen = of_known_densities.sample(4000, n_candidates=50)
    assert_allclose([chosen.mean(), chosen.std()], [1, 0.7], atol=0.12)


def test_objectives_are_their_formulas():
    score = torch.tensor([-2.0, 0.5, 3.0])
    probability = score.sigmoid()
    cross_entropy, hinge, wasserstein = OBJECTIVES.values()
    assert_allclose(cross_entropy.of_real(score), -probability.log(), rtol=1e-6)
    assert_allclose(cross_entropy.of_generated(score), -(1 - probability).log(), rtol=1e-5)
    assert_allclose(cross_entropy.to_seem_real(score), -probability.log(), rtol=1e-6)
    assert_allclose(hinge.of_real(score), [3, 0.5, 0])
    assert_allclose(hinge.of_generated(score), [0, 1.5, 4])
    assert_allclose(wasserstein.of_real(score) + wasserstein.of_generated(2 * score), score)


def test_squared_slopes_of_a_quadratic_score():
    x, z = torch.randn(5, 3), torch.randn(5, 2)
    by_x, by_z = squared_slopes(lambda x, z: x.square().sum(1) + 3 * z.sum(1), x, z)
    assert_allclose(by_x, 4 * x.square().sum(1), rtol=1e-6)
    assert_allclose(by_z, [9 * 2] * 5, rtol=1e-6)


def made(n_features=9, **parameters):
    """Return an untrained module."""
    settings = {"n_components": 3, "hidden_layers": (6,), **parameters}
    with seeded_initialisation(0):
        return GenerativeAdversarialNetwork(**settings)._make_module(n_features).train()


def test_spectral_norm_bounds_all_weights(table):
    settings = dict(hidden_layers=(32, 32), n_iter=20)
    network = quick(GenerativeAdversarialNetwork, spectral_norm=True, **settings).fit(table)
    used = network.module_.discriminator.weights()
    largest = [np.linalg.norm(w.detach(), 2) for w in used.values() if w.ndim > 1]
    assert_allclose(largest, 1, atol=0.25)  # one iteration a step lags behind
    plain = quick(GenerativeAdversarialNetwork, **settings).fit(table)
    others = [np.linalg.norm(p.detach(), 2) for p in plain.module_.discriminator.parameters()]
    assert max(others) > 1.5


@pytest.mark.parametrize("loss", OBJECTIVES)
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_numbers_are_buffers_or_structure(loss, spectral_norm):
    """Networks of one structure have each its own losses when stacked."""
    x = torch.rand(7, 9, generator=torch.Generator().manual_seed(0))

    def losses(module, noise):
        code, generated, rebuilt = module._pairs(x, noise[0])
        of_discriminator = module.discriminator_loss(x, code, generated, noise[0])
        of_generator = module.generator_loss(Batch(x), code, generated, rebuilt, noise[0])
        return torch.stack([of_discriminator, of_generator])

    class Both(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, noise):
            return losses(self.module, noise)

    numbers = [
        ("gradient_penalty", (1.0, 2.0)),
        ("reconstruction_weight", (1, 5)),
        ("mmd_weight", (1, 5)),
    ]
    if loss != "wasserstein_gp":  # which has one penalty of rows and codes
        numbers.append(("code_gradient_penalty", (10, 500)))
    for name, values in numbers:
        modules = [made(loss=loss, spectral_norm=spectral_norm, **{name: v}) for v in values]
        assert modules[0].structure() == modules[1].structure() is not None
        noise = modules[0].sample_noise(Batch(x), Generator(0))
        alone = torch.stack([losses(module, noise).detach() for module in modules])
        assert not torch.allclose(*alone, rtol=1e-3)
        both = [Both(module) for module in modules]
        parameters, buffers = torch.func.stack_module_state(both)
        together = torch.vmap(
            lambda p, b, one=both[0], noise=noise: torch.func.functional_call(one, (p, b), (noise,))
        )(parameters, buffers)
        assert_allclose(together.detach(), alone, rtol=1e-5, atol=1e-6)
    for name, values in [("n_discriminator_steps", (1, 2)), ("n_components", (3, 4))]:
        first, second = (made(**{name: value}).structure() for value in values)
        assert first != second


def test_slopes_by_rows_and_by_codes_have_a_weight_each():
    x, weights = torch.rand(7, 9), {"gradient_penalty": 3.0, "code_gradient_penalty": 5.0}
    modules = [made(**dict.fromkeys(weights, 0.0)), made(**weights)]
    noise = modules[0].sample_noise(Batch(x), Generator(0))
    plain, penalised = (module.loss(Batch(x), noise).detach() for module in modules)
    module = modules[0]
    rows, codes = x.requires_grad_(), module.autoencoder["encoder"](x).detach().requires_grad_()
    score = module.discriminator(rows, codes)[1].sum()
    by_row, by_code = torch.autograd.grad(score, [rows, codes])
    expected = (3 * by_row.square().sum(1) + 5 * by_code.square().sum(1)) / 2
    assert_allclose(penalised - plain, expected, rtol=1e-3, atol=1e-6)


def test_the_score_of_a_pair_is_bounded_in_the_code():
    module, x, away = made(), torch.rand(5, 9), torch.randn(5, 3)
    far, further = (module.discriminator(x, scale * away)[1] for scale in (1e4, 1e6))
    assert_allclose(far.detach(), further.detach(), rtol=1e-5)
    z = (1e4 * away).requires_grad_()
    (slope,) = torch.autograd.grad(module.discriminator(x, z)[1].sum(), z)
    assert_array_equal(slope, 0)


def test_no_leap_after_a_long_rest():
    """Adam's first step after many slopes of 0 is (1 - beta1) / sqrt(1 - beta2) times its rate."""
    for group in made().parameter_groups():
        parameter = torch.zeros(1, requires_grad=True)
        optimizer = torch.optim.Adam([parameter], lr=1.0, betas=group["betas"])
        for slope in [0.0] * 2000 + [1.0]:
            parameter.grad = torch.full_like(parameter, slope)
            optimizer.step()
        assert -2 < parameter.item() < -1


def test_the_discriminator_learns_by_its_own_loss():
    """The first step of Adam goes by the sign of the gradient."""
    module, x = made(gradient_penalty=0.1), torch.rand(20, 9)
    optimizers = make_optimizers(module, 1e-3)
    noise = module.sample_noise(Batch(x), Generator(0))
    discriminator = list(module.discriminator.parameters())
    before = [p.detach().clone() for p in discriminator]
    expected = torch.autograd.grad(module.loss(Batch(x), noise).mean(), discriminator)
    module.training_step(Batch(x), noise, Step(optimizers))
    for parameter, old, gradient in zip(discriminator, before, expected, strict=True):
        clear = gradient.abs() > 1e-4
        assert_allclose(
            (parameter - old)[clear].detach(), -1e-3 * gradient.sign()[clear], rtol=0.01
        )
    assert all(p.grad is None for p in module.parameters())


def test_averages_are_running_means(table):
    last = quick(GenerativeAdversarialNetwork, ema_decay=0.0).fit(table).module_
    for mean, value in zip(last.averages.parameters(), last.autoencoder.parameters(), strict=True):
        assert_array_equal(mean.detach(), value.detach())
    with_mean = quick(GenerativeAdversarialNetwork, ema_decay=0.9, n_iter=1, batch_size=150)
    moved = with_mean.fit(table).module_  # two steps, of which the first keeps 2/11, then 3/12
    one = quick(GenerativeAdversarialNetwork, ema_decay=0.9, n_iter=0).fit(table).module_
    assert float(moved.n_steps) == 2
    start, mean, end = (
        next(iter(module.parameters()))
        for module in (one.averages, moved.averages, moved.autoencoder)
    )
    between = (mean - start) / (end - start)
    assert 0.75 < float(between.detach().median()) < 1


def test_curves_of_both_losses(table):
    network = quick(GenerativeAdversarialNetwork, n_iter=3, warm_start=True).fit(table)
    assert set(network.history_) == {"discriminator_loss", "generator_loss"}
    assert network.n_iter_ == len(network.history_["generator_loss"]) == 3
    before = network.score(table)
    network.fit(table)
    assert network.n_iter_ == len(network.history_["discriminator_loss"]) == 6
    assert network.score(table) > before
    assert network.partial_fit(table[:50]).n_iter_ == 7
    assert not hasattr(network, "diversity_")
    with pytest.raises(ValueError, match="warm_start"):
        network.set_params(n_components=3).fit(table)


def test_coverage_counts_rows_with_a_sample_nearby():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 2)) + np.repeat([[0.0], [50.0]], 500, axis=0)
    same = rng.normal(size=(1000, 2)) + np.repeat([[0.0], [50.0]], 500, axis=0)
    # A sample misses the surroundings of a row as seldom as five of ten heads come first.
    assert coverage(X, same) == pytest.approx(1 - 0.5**5, abs=0.02)
    assert coverage(X, same[:500]) < 0.5
    assert coverage(X, np.full((1000, 2), 200.0)) == 0
    assert coverage(X[:1], X[:1]) == 1


def test_mode_collapse_warns():
    X = np.random.default_rng(0).choice([-3.0, 3.0], size=(400, 1))
    X += 0.01 * np.random.default_rng(1).normal(size=X.shape)
    with pytest.warns(ConvergenceWarning, match=r"cover \d+% of the training rows \(diversity_\)"):
        network = quick(GenerativeAdversarialNetwork, n_components=1).fit(X)
    assert network.diversity_ < 0.5


def test_it_learns_two_groups_of_rows():
    rng = np.random.default_rng(0)
    X = rng.choice([-1.5, 1.5], size=(1000, 1)) * [1, -1] + 0.2 * rng.normal(size=(1000, 2))
    network = GenerativeAdversarialNetwork(
        2, hidden_layers=(64, 64, 64), batch_size=125, n_iter=40, random_state=0, device="cpu"
    ).fit(X)
    samples = network.sample(1000)
    first = samples[:, 0] > 0
    assert 0.4 < first.mean() < 0.6
    assert_allclose(samples[first].mean(0), [1.5, -1.5], atol=0.15)
    assert_allclose(samples[~first].mean(0), [-1.5, 1.5], atol=0.15)
    assert network.diversity_ > 0.5
    # The code is that of normal draws, and the generator its inverse.
    assert_allclose(network.transform(X).std(0), 1, atol=0.25)
    assert network.score(X) > -0.05
    assert (network.score_samples([[1.5, 1.5]]) < network.score_samples(X).min()).all()


def test_codes_do_not_run_away():
    """Not where a strong discriminator meets little that holds codes near normal draws."""
    rng = np.random.default_rng(0)
    X = rng.choice([-1.0, 1.0], size=(1000, 2)) + 0.05 * rng.normal(size=(1000, 2))
    network = GenerativeAdversarialNetwork(
        2,
        hidden_layers=(32, 32),
        gradient_penalty=0,
        reconstruction_weight=10,
        mmd_weight=5,
        n_discriminator_steps=4,
        learning_rate=5e-3,
        learning_rate_schedule="constant",
        batch_size=50,
        n_iter=18,
        random_state=0,
        device="cpu",
    ).fit(X)
    codes = network.transform(X)
    assert 0.5 < codes.std(0).min() <= codes.std(0).max() < 2
    assert abs(codes).max() < 8
    assert network.score(X) > -0.05


def test_samples_are_reproducible(table):
    network = quick(GenerativeAdversarialNetwork).fit(table)
    assert_array_equal(network.sample(10), network.sample(10))
    assert_array_equal(network.sample(10, random_state=1), network.sample(10, random_state=1))
    assert not np.array_equal(network.sample(10), network.sample(10, random_state=1))
    for bad in (0, 1.5, -1):
        with pytest.raises(ValueError, match=f"n_samples must be a positive integer, got {bad}"):
            network.sample(bad)
        with pytest.raises(ValueError, match=f"n_candidates must .* positive integer, got {bad}"):
            network.sample(2, n_candidates=bad)


@pytest.mark.parametrize(
    ("layers", "shape"),
    [(Conv2d((1, 8, 8), channels=(4,)), (1, 8, 8)), (Conv1d((2, 32), channels=(4,)), (2, 32))],
    ids=["images", "signals"],
)
def test_images_and_signals(digits, layers, shape):
    X = digits[:100].reshape(-1, *shape)
    network = quick(
        GenerativeAdversarialNetwork,
        hidden_layers=layers,
        output_activation="sigmoid",
        spectral_norm=True,
    ).fit(X)
    assert network.sample(3).shape == (3, *shape)
    assert network.inverse_transform(network.transform(X)).shape == X.shape
    assert 0 < network.sample(3).min() < network.sample(3).max() < 1
    assert network.discriminator_features(X).shape == (100, 128)


def test_features_of_a_convolutional_discriminator_tell_digits_apart(digits):
    y = load_digits().target
    network = GenerativeAdversarialNetwork(
        16,
        hidden_layers=Conv2d((1, 8, 8), channels=(8, 16)),
        output_activation="sigmoid",
        n_iter=8,
        random_state=0,
        device="cpu",
    )
    network.fit(digits[:600].reshape(-1, 8, 8))
    features = network.discriminator_features(digits.reshape(-1, 8, 8))
    classifier = make_pipeline(StandardScaler(), LinearSVC()).fit(features[:600], y[:600])
    assert classifier.score(features[600:], y[600:]) > 0.85
    assert network.sample(2).shape == (2, 8, 8)


def test_candidates_are_chosen_where_scores_are_log_odds(table):
    for loss in ("hinge", "wasserstein_gp"):
        network = quick(GenerativeAdversarialNetwork, loss=loss, n_iter=1).fit(table)
        assert_array_equal(network.sample(9), network.sample(9, n_candidates=1))
        with pytest.raises(ValueError, match=f"needs loss='non_saturating'.*{loss}"):
            network.sample(9, n_candidates=2)
    network = quick(GenerativeAdversarialNetwork, n_iter=1).fit(table)
    assert_array_equal(network.sample(9), network.sample(9, n_candidates=64))


# -- layers and callbacks ------------------------------------------------------------------


def test_running_statistics_move_once_a_step(table):
    layers = Dense((6,), batch_norm=True)
    network = quick(
        GenerativeAdversarialNetwork,
        hidden_layers=layers,
        n_discriminator_steps=2,
        n_iter=3,
        batch_size=100,
    ).fit(table)
    norms = [layer for layer in network.module_.modules() if isinstance(layer, BatchNorm)]
    assert [int(norm.num_batches_tracked) for norm in norms] == [3 * 3] * 5


def test_rows_count_by_their_weight_in_statistics_of_a_batch():
    """In all three networks; a generated row has the weight of the real one beside it."""
    x, layers = torch.rand(7, 9), Dense((6,), batch_norm=True)
    module = made(hidden_layers=layers, gradient_penalty=0)
    weight = torch.tensor([2.0, 0.5, 0.5, 1, 1, 1, 1])
    norms = [layer for layer in module.modules() if isinstance(layer, BatchNorm)]
    seen = {}

    def note(layer, inputs):
        seen.setdefault(layer, inputs[0].detach())

    for norm in norms:
        norm.register_forward_pre_hook(note)
    noise = module.sample_noise(Batch(x, weight), Generator(0))
    module.training_step(Batch(x, weight), noise, Step(make_optimizers(module, 1e-3)))
    assert len(seen) == 3
    for layer, rows in seen.items():
        by_weight = weight.repeat(len(rows) // 7) @ rows / len(rows)
        assert_allclose(layer.running_mean, 0.1 * by_weight, rtol=1e-4, atol=1e-7)


class Own:
    """Layers of a user's own: a linear encoder and decoder, with what is put before them."""

    def __init__(self, n_more=0, before=nn.Identity, decoder_before=nn.Identity):
        self.n_more, self.before, self.decoder_before = n_more, before, decoder_before

    def make_encoder(self, n_features, n_components):
        return nn.Sequential(self.before(), nn.Linear(n_features, n_components + self.n_more))

    def make_decoder(self, n_features, n_components, encoder):
        return nn.Sequential(self.decoder_before(), nn.Linear(n_components, n_features))


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"hidden_layers": Own(n_more=1)}, r"encoder that hidden_layers makes must return 16"),
        ({"hidden_layers": Own(before=nn.Dropout)}, r"encoder.*global generator \(Dropout\)"),
        ({"hidden_layers": Own(decoder_before=nn.Dropout)}, r"decoder.*global generator"),
        ({"hidden_layers": Own(before=lambda: nn.Linear(3, 3))}, r"encoder.*fails on rows of 5"),
        ({"discriminator_layers": Own(n_more=1)}, r"discriminator_layers makes must return 128"),
        ({"discriminator_layers": Own(before=nn.Dropout)}, r"discriminator_layers makes draws"),
        ({"discriminator_layers": Own(before=lambda: None)}, r"discriminator_layers"),
    ],
)
def test_own_layers_that_do_not_fit(table, parameters, sentence):
    network = quick(GenerativeAdversarialNetwork, **parameters)
    with pytest.raises((ValueError, TypeError), match=sentence):
        network.fit(table)
    assert not hasattr(network, "module_")


def test_own_layers_of_torch(table):
    """They work in place, and with statistics of a batch by rows that count alike."""
    before = table.astype(np.float32)
    X = before.copy()
    layers = Own(before=lambda: nn.Sequential(nn.ReLU(inplace=True), nn.BatchNorm1d(5)))
    network = quick(GenerativeAdversarialNetwork, hidden_layers=layers).fit(X)
    assert_array_equal(X, before)
    assert network.module_.mixes_rows
    assert np.isfinite(network.transform(X)).all()


class Watcher(Callback):
    def on_epoch_end(self, net, **_):
        net.history.record("epoch number", len(net.history))


def test_callbacks_watch_and_freeze(table):
    start = quick(GenerativeAdversarialNetwork, n_iter=0).fit(table).module_
    callbacks = [Watcher(), Freezer("autoencoder.*")]
    network = quick(GenerativeAdversarialNetwork, callbacks=callbacks, n_iter=3).fit(table)
    assert network.history_["epoch number"] == [1, 2, 3]
    assert len(network.history_["generator_loss"]) == 3
    for part, stays in [("autoencoder", True), ("discriminator", False)]:
        pairs = zip(
            getattr(network.module_, part).parameters(),
            getattr(start, part).parameters(),
            strict=True,
        )
        assert all(torch.equal(a, b) for a, b in pairs) == stays
    with pytest.raises(TypeError, match=r"callbacks.*skorch.*got 3"):
        network.set_params(callbacks=[3]).fit(table)
    with pytest.raises(ValueError, match="there are no validation rows"):
        network.set_params(callbacks=[EarlyStopping(monitor="valid_loss")]).fit(table)


def test_bad_parameters(table):
    for parameters, message in [
        ({"loss": "least_squares"}, r"'loss'.*'hinge'"),
        ({"gradient_penalty": -1}, "'gradient_penalty'"),
        ({"code_gradient_penalty": -1}, "'code_gradient_penalty'"),
        ({"ema_decay": 1.0}, "'ema_decay'"),
        ({"n_discriminator_steps": 0}, "'n_discriminator_steps'"),
        ({"discriminator_layers": 3}, "'discriminator_layers'"),
        ({"output_activation": "cube"}, r"'output_activation'.*'sigmoid'"),
        ({"hidden_layers": Dense((4,), tied_weights=True)}, r"tied_weights=False"),
    ]:
        with pytest.raises(ValueError, match=message):
            quick(GenerativeAdversarialNetwork, **parameters).fit(table)


def test_discrepancy_is_the_mean_over_all_pairs():
    rng = np.random.default_rng(0)
    code, prior = rng.normal(size=(4, 2)), rng.normal(size=(5, 2))

    def kernel(x, y):
        scales = [4 * part for part in (0.1, 0.2, 0.5, 1, 2, 5, 10)]  # 2 * n_components is 4
        return np.mean([scale / (scale + np.sum((x - y) ** 2)) for scale in scales])

    def mean(first, second):
        return np.mean([[kernel(x, y) for y in second] for x in first])

    expected = mean(code, code) + mean(prior, prior) - 2 * mean(code, prior)
    found = prior_discrepancy(torch.tensor(code), torch.tensor(prior))
    assert float(found) == pytest.approx(expected)
    # A code of weight two is that code twice.
    twice = torch.tensor(np.vstack([code, code[:1]])), torch.tensor(prior)
    weighted = torch.tensor([2.0, 1, 1, 1], dtype=torch.float64)
    by_weight = prior_discrepancy(torch.tensor(code), torch.tensor(prior), weighted)
    assert float(by_weight) == pytest.approx(float(prior_discrepancy(*twice)))
