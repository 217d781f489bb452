"""Boltzmann machines against enumerations, integrals, autograd and scikit-learn's own."""

import itertools
import warnings

import numpy as np
import pytest
import sklearn.neural_network
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, special, stats
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from skae import BernoulliRBM, DeepBeliefNetwork, GaussianRBM
from skae._training import Generator
from skae.boltzmann._halves import Halves
from skae.boltzmann._module import RBMModule
from skae.boltzmann._units import BinaryUnits, RectifiedUnits


def all_states(n_units):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n_units)))


@pytest.fixture(scope="module")
def prototypes() -> np.ndarray:
    """Return 400 rows of 6 bits that are noisy copies of two patterns."""
    rng = np.random.default_rng(0)
    patterns = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0, 1]])
    rows = patterns[rng.integers(0, 2, 400)]
    return np.where(rng.random(rows.shape) < 0.1, 1 - rows, rows).astype(np.float64)


@pytest.fixture(scope="module")
def standardised() -> np.ndarray:
    """Return 400 rows of three standardised columns in clusters."""
    X, _ = make_blobs(400, n_features=3, centers=4, random_state=0)
    return StandardScaler().fit_transform(X)


def random_machine(seed, n_components=5, n_features=9, scale=1.0):
    """Return a fitted machine whose weights and biases are then drawn at random."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 2, (100, n_features))
    machine = quick(BernoulliRBM, n_components=n_components, random_state=seed).fit(X)
    for parameter in machine.module_.parameters():
        draws = scale * rng.normal(size=tuple(parameter.shape))
        parameter.copy_(torch.from_numpy(draws))
    return machine


# -- in place of scikit-learn's ----------------------------------------------------------


def test_signature_begins_with_that_of_scikit_learn():
    theirs = sklearn.neural_network.BernoulliRBM().get_params()
    ours = BernoulliRBM().get_params()
    assert {name: ours[name] for name in theirs} == theirs


def test_attributes_have_the_shapes_of_scikit_learn(prototypes):
    ours = quick(BernoulliRBM, n_components=4, batch_size=7).fit(prototypes)
    theirs = sklearn.neural_network.BernoulliRBM(4, batch_size=7).fit(prototypes)
    for name in ("components_", "intercept_hidden_", "intercept_visible_", "h_samples_"):
        assert getattr(ours, name).shape == getattr(theirs, name).shape
    assert ours.n_features_in_ == theirs.n_features_in_


def test_step_equals_that_of_scikit_learn_given_the_same_samples(prototypes):
    x = prototypes[:10].astype(np.float32)
    ours = quick(BernoulliRBM, n_components=4, centered=False).fit(prototypes)
    module = ours.module_
    theirs = sklearn.neural_network.BernoulliRBM(4)
    for name in ("components_", "intercept_hidden_", "intercept_visible_", "h_samples_"):
        setattr(theirs, name, getattr(ours, name).copy())
    rows = torch.from_numpy(x)
    noise = module.sample_noise(rows, Generator(0))
    samples = module.advance(rows, noise).numpy()
    theirs._sample_visibles = lambda h, rng: samples
    theirs._fit(x, np.random.RandomState(0))
    module.set_pace(learning_rate=0.1)
    module.training_step(rows, noise, None, [])
    for name in ("components_", "intercept_hidden_", "intercept_visible_"):
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=0, atol=1e-6)


def test_score_is_the_mean_of_the_scores_that_scikit_learn_draws(prototypes):
    ours = quick(BernoulliRBM, n_components=4).fit(prototypes)
    theirs = sklearn.neural_network.BernoulliRBM(4, random_state=np.random.RandomState(0))
    theirs.fit(prototypes)
    for name in ("components_", "intercept_hidden_", "intercept_visible_"):
        setattr(theirs, name, getattr(ours, name))
    row = prototypes[:1]
    draws = theirs.score_samples(np.repeat(row, 20_000, axis=0))
    error = draws.std() / np.sqrt(len(draws))
    assert abs(ours.score_samples(row)[0] - draws.mean()) < 4 * error


def test_n_iter_of_zero_leaves_the_start(prototypes):
    machine = quick(BernoulliRBM, n_iter=0).fit(prototypes)
    assert machine.n_iter_ == 0
    odds = prototypes.mean(0) / (1 - prototypes.mean(0))
    assert_allclose(machine.intercept_visible_, np.log(odds), atol=0.05)


# -- learning ----------------------------------------------------------------------------


def gradient_by_autograd(module, x, noise):
    """Return the gradient of the mean log-likelihood, with the chains for the model."""
    samples = module.advance(x, noise)
    parameters = dict(module.named_parameters())
    for parameter in parameters.values():
        parameter.requires_grad_()
    objective = module.free_energy(samples).mean() - module.free_energy(x).mean()
    gradients = torch.autograd.grad(objective, list(parameters.values()))
    for parameter in parameters.values():
        parameter.requires_grad_(False)
    return dict(zip(parameters, gradients, strict=True))


@pytest.mark.parametrize("hidden", ["binary", "relu"])
@pytest.mark.parametrize("algorithm", ["pcd", "cd", "pt"])
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_step_follows_the_gradient_of_the_free_energy(
    prototypes, standardised, visible, algorithm, hidden
):
    kind, X = (BernoulliRBM, prototypes) if visible == "bernoulli" else (GaussianRBM, standardised)
    parameters = dict(n_components=4, hidden=hidden, algorithm=algorithm, n_temperatures=3)
    machine = quick(kind, **parameters, n_gibbs_steps=2, centered=False, batch_size=50).fit(X)
    module = machine.module_
    x = torch.from_numpy(X[:20].astype(np.float32))
    noise = module.sample_noise(x, Generator(0))
    if algorithm == "pt":  # of all temperatures, the model's own is the first
        advance = type(module).advance
        module.advance = lambda *arguments: advance(module, *arguments)[: module.n_chains]
    expected = gradient_by_autograd(module, x, noise)
    vars(module).pop("advance", None)
    before = {name: p.clone() for name, p in module.named_parameters()}
    rate = 1e-3
    module.set_pace(learning_rate=rate)
    module.training_step(x, noise, None, [])
    variance = 1.0
    if visible == "gaussian":  # the steps of what has the unit of a feature are in its unit
        variance = before["log_variance"].exp()
    for name, after in module.named_parameters():
        scale = variance if name in ("weight", "visible_bias") else 1.0
        moved = (after - before[name]) / rate
        assert_allclose(moved, expected[name] * scale, rtol=1e-3, atol=2e-3)


def test_centred_steps_do_not_care_which_value_is_called_one(prototypes):
    # Of a machine of inverted bits the weights have the opposite sign, and so on; a centred
    # machine and its mirror image stay mirror images.
    X = np.column_stack([prototypes, prototypes[:, :2]])
    plain, mirror = (quick(BernoulliRBM, n_components=4, n_iter=1).fit(X).module_ for _ in "ab")
    mirror.weight.neg_()
    mirror.visible_bias.neg_()
    mirror.hidden_bias.add_(plain.weight.sum(1))
    mirror.visible_mean.copy_(1 - plain.visible_mean)
    x = torch.from_numpy(X[:10].astype(np.float32))
    for module in (plain, mirror):
        module.set_pace(learning_rate=0.1)
    for seed in range(5):
        start, [(visible, hidden)], uniforms = plain.sample_noise(x, Generator(seed))
        plain.training_step(x, (start, [(visible, hidden)], uniforms), None, [])
        mirror.training_step(1 - x, (start, [(1 - visible, hidden)], uniforms), None, [])
    assert_allclose(mirror.weight, -plain.weight, atol=1e-5)
    assert_allclose(mirror.visible_bias, -plain.visible_bias, atol=1e-5)
    assert_allclose(mirror.hidden_bias, plain.hidden_bias + plain.weight.sum(1), atol=1e-5)


@pytest.mark.parametrize(
    "machine",
    [
        BernoulliRBM(256),
        BernoulliRBM(256, centered=False, momentum=0.5, sparsity_cost=0.1),
        BernoulliRBM(256, algorithm="cd", n_gibbs_steps=2),
        BernoulliRBM(256, algorithm="pt", n_temperatures=2),
        GaussianRBM(256, learning_rate=1e-3),
    ],
    ids=lambda machine: "-".join(map(str, [type(machine).__name__, machine.algorithm])),
)
def test_products_in_halves_do_not_depend_on_the_threads(machine, monkeypatch):
    X = (np.random.default_rng(0).random((63, 784)) < 0.2).astype(np.float32)
    machine.set_params(batch_size=9, n_iter=2, random_state=0, device="cpu")
    assert Halves.pay(torch.empty(256, 784), 9)
    seen, before = [], torch.get_num_threads()
    try:
        for n_threads in (1, 2, 4):
            torch.set_num_threads(n_threads)
            fitted = clone(machine).fit(X)
            seen.append([*fitted.module_.parameters(), *fitted.module_.buffers(), fitted.history_])
    finally:
        torch.set_num_threads(before)
    for one, two, four in zip(*seen, strict=True):
        assert_array_equal(one, two)
        assert_array_equal(one, four)
    assert fitted.module_.threads_in_a_step() == 1  # the views do not outlive the training
    monkeypatch.setattr(Halves, "pay", lambda *_: False)
    assert_allclose(clone(machine).fit(X).components_, seen[0][0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"algorithm": "cd"},
        {"algorithm": "pt", "n_temperatures": 4},
        {"centered": False},
        {"momentum": 0.5},
        {"n_gibbs_steps": 3},
        {"learning_rate_schedule": "linear"},
        {"hidden": "relu", "learning_rate": 0.02},
    ],
    ids=str,
)
def test_learns_more_than_the_frequencies_of_the_bits(prototypes, parameters):
    machine = quick(BernoulliRBM, n_components=8, n_iter=40, **parameters).fit(prototypes)
    p = prototypes.mean(0)
    frequencies = (prototypes * np.log(p) + (1 - prototypes) * np.log(1 - p)).sum(1).mean()
    # The rows are copies of two patterns with a tenth of the bits inverted: who knows the
    # pattern pays 0.325 nats a bit, and the pattern itself log(2).
    assert machine.score(prototypes) > frequencies + 1
    if machine.hidden == "binary":
        best = -6 * special.entr([0.1, 0.9]).sum() - np.log(2)
        assert machine.log_likelihood(prototypes).mean() > best - 0.7


def test_linear_schedule_ends_at_zero(prototypes):
    parameters = dict(n_components=4, n_iter=4, learning_rate_schedule="linear")
    rates = []

    class Recording(BernoulliRBM):
        def _train(self, module, rows, validation, **settings):
            step = module.training_step
            module.training_step = lambda *arguments: (
                rates.append(module.learning_rate),
                step(*arguments),
            )[1]
            try:
                return super()._train(module, rows, validation, **settings)
            finally:
                del module.training_step

    quick(Recording, batch_size=400, learning_rate=0.4, **parameters).fit(prototypes)
    assert_allclose(rates, [0.4, 0.3, 0.2, 0.1])


def test_weight_decay_shrinks_the_weights(prototypes):
    plain, decayed = (
        quick(BernoulliRBM, n_components=4, n_iter=20, weight_decay=decay).fit(prototypes)
        for decay in (0.0, 0.1)
    )
    assert np.abs(decayed.components_).sum() < 0.7 * np.abs(plain.components_).sum()


def test_sparsity_cost_draws_the_units_to_their_target(prototypes):
    machine = quick(
        BernoulliRBM, n_components=20, n_iter=60, sparsity_target=0.2, sparsity_cost=2.0
    ).fit(prototypes)
    assert machine.transform(prototypes).mean() == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("chunk", [1, 7, 500, 600])
def test_partial_fit_reaches_the_pseudo_likelihood_of_fit(digits, chunk):
    X, n_sweeps = digits[:600], 5
    fitted = quick(BernoulliRBM, n_components=16, n_iter=n_sweeps, learning_rate=0.3).fit(X)
    chunked = quick(BernoulliRBM, n_components=16, learning_rate=0.3)
    for _ in range(n_sweeps):
        for start in range(0, len(X), chunk):
            chunked.partial_fit(X[start : start + chunk])
    assert chunked.score(X) == pytest.approx(fitted.score(X), rel=0.05)
    start = quick(BernoulliRBM, n_components=16, n_iter=0).fit(X)
    assert fitted.score(X) > start.score(X) + 1  # both have learned something


def test_history_tells_learning_by_heart():
    bits = np.random.default_rng(0).integers(0, 2, (120, 12)).astype(float)  # nothing to learn
    train, X_val = bits[:20], bits[20:]
    machine = quick(BernoulliRBM, n_components=50, n_iter=200).fit(train, X_val=X_val)
    history = machine.history_
    assert set(history) == {"reconstruction_error", "pseudo_likelihood", "free_energy_gap"}
    assert {len(values) for values in history.values()} == {200}
    assert history["reconstruction_error"][-1] < history["reconstruction_error"][0]
    assert history["pseudo_likelihood"][-1] > history["pseudo_likelihood"][0]
    assert history["free_energy_gap"][-1] > history["free_energy_gap"][0] + 1
    gap = machine.free_energy(X_val).mean() - machine.free_energy(train).mean()
    assert history["free_energy_gap"][-1] == pytest.approx(gap, abs=1e-3)
    assert "free_energy_gap" not in quick(BernoulliRBM).fit(train).history_


def test_saturated_units_warn(prototypes):
    with pytest.warns(ConvergenceWarning, match=r"hidden units of BernoulliRBM are saturated"):
        quick(BernoulliRBM, learning_rate=500.0).fit(prototypes)


# -- scores and likelihoods ------------------------------------------------------------------


def test_score_is_the_sum_of_all_flips_done_one_by_one(prototypes):
    machine = quick(BernoulliRBM, n_components=4).fit(prototypes)
    expected = np.zeros(10)
    for feature in range(6):
        flipped = prototypes[:10].copy()
        flipped[:, feature] = 1 - flipped[:, feature]
        gain = machine.free_energy(flipped) - machine.free_energy(prototypes[:10])
        expected += special.log_expit(gain)
    assert_allclose(machine.score_samples(prototypes[:10]), expected, rtol=1e-10)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4)])
def test_exact_likelihood_is_a_distribution(shape):
    n_components, n_features = shape  # the smaller layer is the one that is counted
    machine = random_machine(0, n_components, n_features)
    states = all_states(n_features)
    assert_allclose(np.exp(machine.log_likelihood(states)).sum(), 1, rtol=1e-9)
    log_z = special.logsumexp(-machine.free_energy(states))
    assert machine.log_partition_function("exact") == (pytest.approx(log_z, rel=1e-9), 0.0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("method", ["ais", "reverse_ais"])
def test_annealing_is_within_its_error_of_the_enumeration(seed, method):
    machine = random_machine(seed)
    exact = machine.log_partition_function("exact").value
    estimate = machine.log_partition_function(method, n_betas=500, random_state=seed)
    assert 0 < estimate.standard_error < 0.2
    assert abs(estimate.value - exact) < 3.5 * estimate.standard_error


def test_log_partition_of_a_gaussian_machine(standardised):
    machine = quick(GaussianRBM, n_components=4, n_iter=20).fit(standardised[:, :2])
    axis = np.linspace(-12, 12, 601)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    log_z = special.logsumexp(-machine.free_energy(grid)) + 2 * np.log(axis[1] - axis[0])
    assert machine.log_partition_function("exact").value == pytest.approx(log_z, abs=1e-6)
    estimate = machine.log_partition_function(n_betas=500)
    assert abs(estimate.value - log_z) < 3.5 * estimate.standard_error


@pytest.mark.parametrize("hidden", ["binary", "relu"])
def test_gaussian_score_is_the_sum_of_the_integrated_conditionals(standardised, hidden):
    machine = quick(GaussianRBM, n_components=4, n_iter=20, hidden=hidden).fit(standardised)
    row = standardised[0]

    def density(value, feature):
        changed = row.copy()
        changed[feature] = value
        return np.exp(-machine.free_energy(changed[None])[0])

    expected = 0.0
    for feature in range(3):
        integral, _ = integrate.quad(density, -15, 15, (feature,), points=[row[feature]])
        expected += np.log(density(row[feature], feature) / integral)
    assert_allclose(machine.score_samples(row[None]), [expected], rtol=1e-6)


def test_gaussian_machine_finds_the_noise():
    rng = np.random.default_rng(0)
    noise = np.array([0.5, 1.0])
    X = 2 * rng.integers(0, 2, (1000, 1)) + noise * rng.normal(size=(1000, 2))
    machine = quick(
        GaussianRBM,
        n_components=4,
        n_iter=50,
        learning_rate=0.1,
        learning_rate_schedule="linear",
    ).fit(X)
    # Each column alone has the variance of its noise, and 1 from the two places.
    assert_allclose(machine.variance_, noise**2, rtol=0.4)
    density = sum(stats.norm(place, noise).pdf(X).prod(1) / 2 for place in (0, 2))
    assert machine.log_likelihood(X).mean() > np.log(density).mean() - 0.1


@pytest.mark.parametrize("variance", ["learned", 0.5])
@pytest.mark.parametrize("hidden", ["binary", "relu"])
def test_gaussian_machine_is_stable_on_standardised_data(variance, hidden):
    X = StandardScaler().fit_transform(load_digits().data)  # constant columns, and rare spikes
    rate = {"binary": 0.01, "relu": 1e-3}[hidden]
    parameters = dict(n_components=32, variance=variance, hidden=hidden, learning_rate=rate)
    with warnings.catch_warnings(action="error"):
        machine = quick(GaussianRBM, **parameters).fit(X)
    assert np.isfinite(machine.score(X))
    errors = machine.history_["reconstruction_error"]
    assert errors[-1] < errors[0]
    if variance != "learned":
        assert_allclose(machine.variance_, 0.5, rtol=1e-6)


# -- sampling ----------------------------------------------------------------------------------


def frequencies(rows):
    numbers = (rows @ 2 ** np.arange(rows.shape[1])).astype(int)
    return np.bincount(numbers, minlength=2 ** rows.shape[1]) / len(rows)


def probabilities(machine, n_features):
    states = all_states(n_features)
    probability = np.empty(len(states))
    probability[(states @ 2 ** np.arange(n_features)).astype(int)] = np.exp(
        machine.log_likelihood(states)
    )
    return probability


def test_samples_follow_the_distribution():
    machine = random_machine(0, n_components=3, n_features=4)
    rows = machine.sample(20_000, n_gibbs_steps=50)
    assert_allclose(frequencies(rows), probabilities(machine, 4), atol=0.015)
    assert_array_equal(rows, machine.sample(20_000, n_gibbs_steps=50))


def test_gibbs_leaves_the_distribution_as_it_is():
    machine = random_machine(1, n_components=3, n_features=4)
    rows = machine.sample(20_000, n_gibbs_steps=50)
    first, second = machine.gibbs(rows), machine.gibbs(rows)
    assert not np.array_equal(first, second)  # the draws go on
    assert_allclose(frequencies(first), probabilities(machine, 4), atol=0.015)


def test_gibbs_of_a_gaussian_machine(standardised):
    machine = quick(GaussianRBM, n_components=3, n_iter=20).fit(standardised)
    rows = machine.sample(5000, n_gibbs_steps=100)
    grid = np.linspace(-6, 6, 61)
    points = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), -1).reshape(-1, 3)
    density = np.exp(machine.log_likelihood(points))
    assert_allclose(rows.mean(0), density @ points / density.sum(), atol=0.08)
    assert_allclose(rows.var(0), density @ points**2 / density.sum() - rows.mean(0) ** 2, atol=0.12)


def test_tempered_chains_keep_the_distribution_where_plain_ones_are_stuck():
    # One hidden unit ties all bits together: two states, all 0 and all 1, with a wall between.
    sample = {}
    for algorithm in ("pcd", "pt"):
        machine = quick(
            BernoulliRBM, n_components=1, algorithm=algorithm, batch_size=200, n_temperatures=8
        ).fit(np.tile([[0.0], [1.0]], (100, 8)))
        module = machine.module_
        module.weight.fill_(8.0)
        module.visible_bias.fill_(-4.0)
        module.hidden_bias.fill_(-32.0)
        module.chains.zero_()
        generator = Generator(0)
        x = torch.zeros(200, 8)
        for _ in range(200):
            module.training_step(x, module.sample_noise(x, generator), None, [])
        v = module.advance(x, module.sample_noise(x, generator))[: module.n_chains]
        sample[algorithm] = float(v.mean())
    assert sample["pcd"] < 0.1
    assert sample["pt"] == pytest.approx(0.5, abs=0.12)  # by symmetry


# -- rectified linear units ----------------------------------------------------------------------


def test_states_of_rectified_units_are_the_dilogarithm():
    numbers = np.linspace(-30, 30, 240)
    activation = torch.from_numpy(numbers).requires_grad_()
    states = RectifiedUnits.log_states(activation)
    expected = -special.spence(1 + np.exp(numbers))  # scipy's function of 1 - x
    assert_allclose(states.detach().numpy(), expected, rtol=1e-9, atol=1e-12)
    (slope,) = torch.autograd.grad(states.sum(), activation)
    assert_allclose(slope.numpy(), np.logaddexp(0, numbers), atol=1e-8)


@pytest.mark.parametrize("units", [BinaryUnits, RectifiedUnits])
def test_draws_have_their_mean(units):
    activation = torch.tensor([-2.0, 0.0, 3.0, 8.0]).expand(100_000, 4)
    noise = units.draw_noise(Generator(0), activation.shape)
    mean = units.mean(activation)
    draws = units.sample(activation, mean, noise)
    # Rectified draws are Nair and Hinton's approximation, worst around 0.
    tolerance = {BinaryUnits: 0.01, RectifiedUnits: 0.42}[units]
    assert_allclose(draws.mean(0), mean[0], atol=tolerance)
    if units is RectifiedUnits:
        assert_allclose(draws.mean(0)[2:], mean[0][2:], rtol=0.02)


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"batch_size": 0}, "'batch_size'"),
        ({"n_gibbs_steps": 0}, "'n_gibbs_steps'"),
        ({"n_iter": -1}, "'n_iter'"),
        ({"n_temperatures": 1}, "'n_temperatures'"),
        ({"momentum": 1.0}, "'momentum'"),
        ({"hidden": "gaussian"}, "'hidden'.*'relu'"),
        ({"algorithm": "adam"}, "'algorithm'.*'pcd'"),
        ({"sparsity_target": 1.0}, "'sparsity_target'"),
        ({"learning_rate_schedule": "adaptive"}, "'learning_rate_schedule'.*'linear'"),
    ],
    ids=str,
)
def test_bad_parameters(prototypes, parameters, message):
    with pytest.raises(ValueError, match=message):
        quick(BernoulliRBM, **parameters).fit(prototypes)


@pytest.mark.parametrize("variance", [0, -1.0, "fixed"])
def test_bad_variance(standardised, variance):
    with pytest.raises(ValueError, match=r"'variance'.*'learned'"):
        quick(GaussianRBM, variance=variance).fit(standardised)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_values_that_are_no_probabilities_warn(prototypes, method):
    with pytest.warns(UserWarning, match=r"between 0 and 2; scale them.*MinMaxScaler.*GaussianRBM"):
        getattr(quick(BernoulliRBM, learning_rate=1e-3), method)(2 * prototypes)


def test_likelihoods_that_are_not_to_be_had(prototypes, standardised):
    wide = quick(BernoulliRBM, n_components=30).fit(np.tile(prototypes, 4))
    with pytest.raises(ValueError, match=r"at most 20.*24 visible and 30 hidden.*method='ais'"):
        wide.log_partition_function("exact")
    few_features = quick(GaussianRBM, n_components=30).fit(standardised)
    with pytest.raises(ValueError, match="at most 20"):  # its features cannot be counted
        few_features.log_partition_function("exact")
    rectified = quick(BernoulliRBM, hidden="relu").fit(prototypes)
    with pytest.raises(ValueError, match="needs hidden='binary'"):
        rectified.log_partition_function()
    with pytest.raises(ValueError, match="'ais', 'reverse_ais' or 'exact', got 'mcmc'"):
        wide.log_partition_function("mcmc")
    for parameters in ({"n_runs": 0}, {"n_betas": 1}):
        with pytest.raises(ValueError, match=next(iter(parameters))):
            wide.log_partition_function(**parameters)
    for parameters in ({"n_samples": 0}, {"n_gibbs_steps": 0}, {"n_samples": 2.5}):
        with pytest.raises(ValueError, match=f"{next(iter(parameters))} must be an integer of at"):
            wide.sample(**parameters)


# -- deep belief networks -----------------------------------------------------------------------


def test_layers_of_a_deep_belief_network(digits):
    network = quick(DeepBeliefNetwork, hidden_layer_sizes=(20, 12, 5)).fit(digits)
    rows = digits
    for layer, machine in enumerate(network.rbms_):
        rows = machine.transform(rows)
        assert_array_equal(network.transform(digits, layer), rows)
    assert_array_equal(network.transform(digits), rows)
    for machine in reversed(network.rbms_):
        rows = machine.inverse_transform(rows)
    assert_array_equal(network.reconstruct(digits), rows)
    lowest = network.transform(digits, layer=0)
    assert network.inverse_transform(lowest, layer=0).shape == digits.shape
    expected = -np.square(rows - digits).mean(1)
    assert_allclose(network.score_samples(digits), expected, rtol=1e-5)
    samples = network.sample(7, n_gibbs_steps=10)
    assert samples.shape == (7, 64)
    assert_array_equal(samples, network.sample(7, n_gibbs_steps=10))


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_unrolled_network_starts_from_the_same_code_and_gets_better(digits, visible):
    X = digits.astype(np.float64)
    if visible == "gaussian":
        X = StandardScaler().fit_transform(X)
    network = quick(DeepBeliefNetwork, hidden_layer_sizes=(32, 8), visible=visible).fit(X)
    unrolled = network.to_autoencoder(max_iter=20, random_state=0)
    assert_allclose(unrolled.transform(X), network.transform(X), atol=1e-5)
    assert_allclose(unrolled.reconstruct(X), network.reconstruct(X), atol=1e-5)
    before = unrolled.score(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert unrolled.fit(X).score(X) > before


def test_unrolled_network_takes_data_frames(digits):
    import pandas as pd

    X = pd.DataFrame(digits, columns=[f"pixel {i}" for i in range(64)])
    network = quick(DeepBeliefNetwork, hidden_layer_sizes=(8,)).fit(X)
    unrolled = network.to_autoencoder()
    assert_array_equal(unrolled.feature_names_in_, X.columns)
    assert_allclose(unrolled.transform(X), network.transform(X), atol=1e-5)


def test_ctrl_c_ends_the_training_of_all_layers(digits, monkeypatch):
    def interrupted_step(self, *arguments):
        raise KeyboardInterrupt

    network = quick(DeepBeliefNetwork, hidden_layer_sizes=(8, 4))
    monkeypatch.setattr(RBMModule, "training_step", interrupted_step)
    with pytest.warns(UserWarning, match="interrupted by user"):
        network.fit(digits)
    assert [machine.n_iter_ for machine in network.rbms_] == [0, 0]
    assert network.transform(digits).shape == (len(digits), 4)


@pytest.mark.parametrize("sizes", [(), (0,), (2.5,), ("8",)], ids=str)
def test_bad_hidden_layer_sizes(digits, sizes):
    with pytest.raises(ValueError, match="hidden_layer_sizes must be one or more positive int"):
        quick(DeepBeliefNetwork, hidden_layer_sizes=sizes).fit(digits)


def test_bad_layer(digits):
    network = quick(DeepBeliefNetwork, hidden_layer_sizes=(8, 4)).fit(digits)
    for method, X in (("transform", digits), ("inverse_transform", digits[:, :4])):
        with pytest.raises(ValueError, match="layer must be an integer from -2 to 1, got 2"):
            getattr(network, method)(X, layer=2)
