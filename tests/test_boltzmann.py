"""Boltzmann machines against enumerations, integrals, autograd and scikit-learn's own."""

import itertools
import re
import warnings

import numpy as np
import pytest
import sklearn.neural_network
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, ndimage, special, stats
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, minmax_scale

from skae import BernoulliRBM, DeepBeliefNetwork, GaussianRBM
from skae._random import Generator
from skae._training import SCHEDULES, Batch, Step
from skae._training._optimizers import LearningRate
from skae.boltzmann import _halves
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


def step_at(learning_rate):
    """Return a step of the engine with this learning rate."""
    return Step([LearningRate([{"params": []}], lr=learning_rate)])


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
    batch = Batch(torch.from_numpy(x))
    noise = module.sample_noise(batch, Generator(0))
    samples = module.advance(batch.x, noise).numpy()
    theirs._sample_visibles = lambda h, rng: samples
    theirs._fit(x, np.random.RandomState(0))
    module.training_step(batch, noise, step_at(0.1))
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
    assert_array_equal(machine.intercept_visible_, np.zeros(6))  # as in scikit-learn
    machine.set_params(centered=True).fit(prototypes)
    odds = prototypes.mean(0) / (1 - prototypes.mean(0))
    assert_allclose(machine.intercept_visible_, np.log(odds), atol=0.05)


def test_features_classify_as_well_as_those_of_scikit_learn():
    """On a part of the data of its example, as means of some seeds; centred ones do not."""
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 8, 8)
    moves = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    moved = [ndimage.shift(images, (0, *move), order=0).reshape(-1, 64) for move in moves]
    X, y = minmax_scale(np.concatenate(moved)), np.tile(y, 5)
    X, X_test, y, y_test = train_test_split(X, y, train_size=1000, random_state=0)

    def accuracy(kind, **parameters):
        def of_seed(seed):
            machine = kind(100, learning_rate=0.06, random_state=seed, **parameters)
            classifier = RidgeClassifier(alpha=1e-3)
            return make_pipeline(machine, classifier).fit(X, y).score(X_test, y_test)

        return np.mean([of_seed(seed) for seed in range(4)])

    # Over 120 splits ours less theirs was -0.0005 with a standard error of 0.0007. That of the
    # difference of two means over four seeds is 0.005.
    theirs = accuracy(sklearn.neural_network.BernoulliRBM)
    assert accuracy(BernoulliRBM, device="cpu") > theirs - 0.02
    assert accuracy(BernoulliRBM, device="cpu", centered=True) < theirs - 0.02


@pytest.mark.parametrize("kind", [BernoulliRBM, GaussianRBM])
def test_verbose_prints_a_line_for_each_epoch(prototypes, kind, capsys):
    machine = quick(kind, n_iter=2, verbose=1).fit(prototypes)
    out, err = capsys.readouterr()
    line = r"\[{}\] Iteration {}, pseudo-likelihood = (-\d+\.\d\d), time = \d+\.\d\ds"
    printed = [
        re.fullmatch(line.format(kind.__name__, epoch), text).group(1)
        for epoch, text in enumerate(out.splitlines(), start=1)
    ]
    assert printed == [f"{value:.2f}" for value in machine.history_["pseudo_likelihood"]]
    assert f"pseudo_likelihood={machine.history_['pseudo_likelihood'][-1]:.4g}" in err
    assert "loss" not in err


def test_chains_are_no_more_than_rows(prototypes):
    huge = dict(n_components=4, batch_size=10**9)  # 16 GB of chains
    assert quick(BernoulliRBM, **huge).fit(prototypes).h_samples_.shape == (400, 4)
    chunked = quick(BernoulliRBM, **huge)
    assert chunked.partial_fit(prototypes[:7]).h_samples_.shape == (100, 4)
    tempered = quick(BernoulliRBM, **huge, algorithm="pt", n_temperatures=3).fit(prototypes)
    assert tempered.module_.chains.shape == (1200, 4)
    assert np.isfinite(tempered.score(prototypes))


# -- learning ----------------------------------------------------------------------------


def gradient_by_autograd(module, objective):
    """Return minus the gradient of an objective, by parameter."""
    parameters = dict(module.named_parameters())
    for parameter in parameters.values():
        parameter.requires_grad_()
    gradients = torch.autograd.grad(objective(), list(parameters.values()), allow_unused=True)
    for parameter in parameters.values():
        parameter.requires_grad_(False)
    return {
        name: torch.zeros_like(parameter) if gradient is None else -gradient
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
    }


def enhance(change, visible_mean, hidden_mean, variance):
    """Return the gradient of a centred machine, from that of the plain one.

    Melchior, Fischer and Wiskott 2016; the changes of weights and visible biases have the unit of
    the features, and so are times the variances.
    """
    weight = (
        change["weight"]
        - torch.outer(change["hidden_bias"], visible_mean)
        - torch.outer(hidden_mean, change["visible_bias"])
    )
    return change | {
        "weight": weight,
        "visible_bias": change["visible_bias"] - weight.T @ hidden_mean,
        "hidden_bias": change["hidden_bias"] - weight @ (visible_mean / variance),
    }


@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
@pytest.mark.parametrize("centered", [False, True], ids=["plain", "centred"])
@pytest.mark.parametrize("hidden", ["binary", "relu"])
@pytest.mark.parametrize("algorithm", ["pcd", "cd", "pt"])
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_step_follows_the_gradient_of_the_loss(
    prototypes, standardised, visible, algorithm, hidden, centered, weighted
):
    kind, X = (BernoulliRBM, prototypes) if visible == "bernoulli" else (GaussianRBM, standardised)
    parameters = dict(n_components=4, hidden=hidden, algorithm=algorithm, n_temperatures=3)
    parameters |= dict(centered=centered, sparsity_cost=0.3, weight_decay=0.2)
    machine = quick(kind, **parameters, n_gibbs_steps=2, batch_size=50).fit(X)
    module = machine.module_.double()
    weight = torch.linspace(0.1, 1.9, 20, dtype=torch.float64) if weighted else None
    batch = Batch(torch.from_numpy(X[:20]), weight)
    noise = module.sample_noise(batch, Generator(0))
    decay = gradient_by_autograd(
        module, lambda: 0.2 * module.weight.square().sum() / 2 + 0 * module.hidden_bias.sum()
    )
    expected = gradient_by_autograd(module, lambda: module.mean_loss(batch, noise))
    variance = torch.ones(X.shape[1], dtype=torch.float64)
    if visible == "gaussian":  # what has the unit of a feature moves in its unit
        variance = module.log_variance.exp()
    expected["weight"] = variance * (expected["weight"] - decay["weight"])
    expected["visible_bias"] = variance * expected["visible_bias"]
    if centered:
        means = module.visible_mean.clone(), module.hidden_offset.clone()
        expected = enhance(expected, *means, variance)
    expected["weight"] = expected["weight"] + decay["weight"]
    before = {name: p.clone() for name, p in module.named_parameters()}
    rate = 1e-3
    module.training_step(batch, noise, step_at(rate))
    for name, after in module.named_parameters():
        moved = (after - before[name]) / rate
        assert_allclose(moved, expected[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_terms_of_the_loss_add_up(prototypes):
    machine = quick(BernoulliRBM, n_components=4, sparsity_cost=0.3, weight_decay=0.2)
    module = machine.fit(prototypes).module_
    batch = Batch(torch.from_numpy(prototypes[:20].astype(np.float32)))
    noise = module.sample_noise(batch, Generator(0))
    terms = module.loss_terms(batch, noise)
    assert set(terms) == {"free_energy_difference", "sparsity", "weight_decay"}
    assert_allclose(module.loss(batch, noise), sum(terms.values()))
    ends = module.advance(batch.x, noise)
    difference = machine.free_energy(batch.x) - machine.free_energy(ends).mean()
    assert_allclose(terms["free_energy_difference"], difference, atol=1e-5)
    assert_allclose(terms["weight_decay"], 0.1 * np.square(machine.components_).sum(), rtol=1e-6)
    # It is pure: neither chains nor running means move.
    assert_array_equal(module.loss(batch, noise), module(batch, noise))


@pytest.mark.parametrize("hidden", ["binary", "relu"])
@pytest.mark.parametrize("algorithm", ["pcd", "cd", "pt"])
@pytest.mark.parametrize("kind", [BernoulliRBM, GaussianRBM])
def test_loss_of_machines_that_are_stacked_is_that_of_each_alone(
    prototypes, kind, algorithm, hidden
):
    parameters = dict(n_components=4, algorithm=algorithm, hidden=hidden, learning_rate=1e-3)
    modules = [quick(kind, random_state=i, **parameters).fit(prototypes).module_ for i in (0, 1)]
    batch = Batch(torch.from_numpy(prototypes[:20].astype(np.float32)))
    noise = modules[0].sample_noise(batch, Generator(0))
    parameters, buffers = torch.func.stack_module_state(modules)
    stacked = torch.vmap(
        lambda *state: torch.func.functional_call(modules[0], state, (batch, noise))
    )(parameters, buffers)
    for together, module in zip(stacked, modules, strict=True):
        assert_allclose(together.detach(), module.loss(batch, noise), rtol=1e-5, atol=1e-5)
    assert not torch.equal(*stacked)


def test_loss_of_the_products_in_halves_has_their_gradient():
    X = (np.random.default_rng(0).random((9, 784)) < 0.2).astype(np.float32)
    module = quick(BernoulliRBM, n_components=256, batch_size=9).fit(X).module_
    batch = Batch(torch.from_numpy(X))
    assert _halves.halving_pays(module.weight.shape, 9, module.weight.device)
    noise = module.sample_noise(batch, Generator(0))
    gradient = gradient_by_autograd(module, lambda: module.mean_loss(batch, noise))
    ends = module.advance(batch.x, noise)
    expected = module.encode(batch.x).T @ batch.x / 9 - module.encode(ends).T @ ends / 9
    assert_allclose(gradient["weight"], expected, atol=1e-6)


def test_step_returns_the_difference_of_the_energies(prototypes):
    machine = quick(BernoulliRBM, n_components=4).fit(prototypes)
    module = machine.module_
    batch = Batch(torch.from_numpy(prototypes[:20].astype(np.float32)))
    noise = module.sample_noise(batch, Generator(0))
    b, c, W = machine.intercept_visible_, machine.intercept_hidden_, machine.components_
    means = []
    for v in (prototypes[:20], module.advance(batch.x, noise).numpy()):
        h = machine.transform(v)
        means.append(-(v @ b + h @ c + (h @ W * v).sum(1)).mean())
    returned = module.training_step(batch, noise, step_at(0.1))
    assert list(returned) == ["energy_difference"]
    assert float(returned["energy_difference"]) == pytest.approx(means[0] - means[1], abs=1e-5)


def test_centred_steps_are_the_same_if_0_and_1_are_exchanged(prototypes):
    # Of a machine of inverted bits the weights have the opposite sign, and so on; a centred
    # machine and its mirror image stay mirror images.
    X = np.column_stack([prototypes, prototypes[:, :2]])
    parameters = dict(n_components=4, n_iter=1, centered=True)
    plain, mirror = (quick(BernoulliRBM, **parameters).fit(X).module_ for _ in "ab")
    mirror.weight.neg_()
    mirror.visible_bias.neg_()
    mirror.hidden_bias.add_(plain.weight.sum(1))
    mirror.visible_mean.copy_(1 - plain.visible_mean)
    x = torch.from_numpy(X[:10].astype(np.float32))
    step = step_at(0.1)
    for seed in range(5):
        start, [(visible, hidden)], uniforms = plain.sample_noise(Batch(x), Generator(seed))
        plain.training_step(Batch(x), (start, [(visible, hidden)], uniforms), step)
        mirror.training_step(Batch(1 - x), (start, [(1 - visible, hidden)], uniforms), step)
    assert_allclose(mirror.weight, -plain.weight, atol=1e-5)
    assert_allclose(mirror.visible_bias, -plain.visible_bias, atol=1e-5)
    assert_allclose(mirror.hidden_bias, plain.hidden_bias + plain.weight.sum(1), atol=1e-5)


@pytest.mark.parametrize(
    "machine",
    [
        BernoulliRBM(256),
        BernoulliRBM(256, centered=True, momentum=0.5, sparsity_cost=0.1),
        BernoulliRBM(256, algorithm="cd", n_gibbs_steps=2),
        BernoulliRBM(256, algorithm="pt", n_temperatures=2),
        GaussianRBM(256, learning_rate=1e-3),
    ],
    ids=lambda machine: "-".join(map(str, [type(machine).__name__, machine.algorithm])),
)
def test_products_in_halves_do_not_depend_on_the_threads(machine, monkeypatch):
    X = (np.random.default_rng(0).random((36, 784)) < 0.2).astype(np.float32)
    machine.set_params(batch_size=9, n_iter=2, random_state=0, device="cpu")
    assert _halves.halving_pays((256, 784), 9, torch.device("cpu"))
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
    assert _halves.n_threads((256, 784), 9, torch.device("cpu")) == 2
    monkeypatch.setattr(_halves, "halving_pays", lambda *_: False)
    assert_allclose(clone(machine).fit(X).components_, seen[0][0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"algorithm": "cd"},
        {"algorithm": "pt", "n_temperatures": 4},
        {"centered": True},
        {"momentum": 0.5, "learning_rate": 0.05},
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


RATES = {
    "constant": [0.4, 0.4, 0.4, 0.4],
    "linear": [0.4, 0.3, 0.2, 0.1],
    "exponential": [0.4, 0.4 * 0.01**0.25, 0.4 * 0.01**0.5, 0.4 * 0.01**0.75],
    "cosine": [0.4, 0.2 * (1 + np.sqrt(0.5)), 0.2, 0.2 * (1 - np.sqrt(0.5))],
}


@pytest.mark.parametrize("schedule", RATES)
def test_schedules_of_the_learning_rate(prototypes, monkeypatch, schedule):
    rates, take_step = [], RBMModule.training_step

    def noting_step(self, batch, noise, step):
        rates.append(step.learning_rate)
        return take_step(self, batch, noise, step)

    monkeypatch.setattr(RBMModule, "training_step", noting_step)
    parameters = dict(n_components=4, n_iter=4, learning_rate_schedule=schedule)
    quick(BernoulliRBM, batch_size=400, learning_rate=0.4, **parameters).fit(prototypes)
    assert_allclose(rates, RATES[schedule])


def test_learning_rate_falls_on_a_plateau_of_the_reconstruction_error(prototypes, monkeypatch):
    rates = []

    def idle_step(self, batch, noise, step):  # what it returns falls, but nothing improves
        rates.append(step.learning_rate)
        return {"energy_difference": torch.tensor(-float(len(rates)))}

    monkeypatch.setattr(RBMModule, "training_step", idle_step)
    parameters = dict(n_iter=20, learning_rate_schedule="plateau", learning_rate=0.4)
    quick(BernoulliRBM, batch_size=400, **parameters).fit(prototypes)
    # After the first epoch, and after each halving, five more are waited for.
    assert rates == [0.4] * 7 + [0.2] * 6 + [0.1] * 6 + [0.05]
    assert {*RATES, "plateau"} == set(SCHEDULES)


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


@pytest.mark.parametrize("chunk", [1, 7, 250, 300])
def test_partial_fit_reaches_the_pseudo_likelihood_of_fit(digits, chunk):
    X, n_epochs = digits[:300], 5
    fitted = quick(BernoulliRBM, n_components=16, n_iter=n_epochs, learning_rate=0.3).fit(X)
    chunked = quick(BernoulliRBM, n_components=16, learning_rate=0.3)
    for _ in range(n_epochs):
        for start in range(0, len(X), chunk):
            chunked.partial_fit(X[start : start + chunk])
    assert chunked.score(X) == pytest.approx(fitted.score(X), rel=0.05)
    start = quick(BernoulliRBM, n_components=16, n_iter=0).fit(X)
    assert fitted.score(X) > start.score(X) + 1  # both have learned something


def test_pseudo_likelihood_in_the_history_does_not_depend_on_the_order_of_the_rows():
    """Of rows that are sorted by class, each with noise in features of its own."""
    rng = np.random.default_rng(0)
    X = np.zeros((500, 50))
    for rows in np.split(np.arange(500), 5):
        features = slice(rows[0] // 10, rows[0] // 10 + 10)
        X[rows, features] = rng.random((100, 10)) < 0.5
    machine = quick(BernoulliRBM, n_components=5, n_iter=20, batch_size=10).fit(X)
    # A feature of a row gives some 50 log(1/2) nats for a fifth of the features, and else
    # nearly 0: the mean over 500 rows has a standard error of about 0.6.
    assert machine.history_["pseudo_likelihood"][-1] == pytest.approx(machine.score(X), abs=2.5)


def test_recording_the_pseudo_likelihood_does_not_change_the_fit(prototypes, monkeypatch):
    machine = quick(BernoulliRBM, n_iter=2)
    weights = machine.fit(prototypes).components_
    monkeypatch.setattr(BernoulliRBM, "_callbacks", lambda *_: [])
    assert_array_equal(machine.fit(prototypes).components_, weights)


def test_history_shows_overfitting():
    bits = np.random.default_rng(0).integers(0, 2, (120, 12)).astype(float)  # nothing to learn
    train, X_val = bits[:20], bits[20:]
    machine = quick(BernoulliRBM, n_components=50, n_iter=200).fit(train, X_val=X_val)
    history = machine.history_
    recorded = {"reconstruction_error", "pseudo_likelihood", "free_energy_gap"}
    assert set(history) == recorded | {"energy_difference"}
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


def test_log_partition_is_taken_as_it_is_returned(prototypes):
    machine = quick(BernoulliRBM, n_components=4).fit(prototypes)
    log_z = machine.log_partition_function("exact")
    expected = machine.log_likelihood(prototypes[:2])  # of as many rows as the tuple has numbers
    assert_array_equal(machine.log_likelihood(prototypes[:2], log_z), expected)
    assert_array_equal(machine.log_likelihood(prototypes[:2], log_z.value), expected)
    for wrong in (tuple(log_z), np.zeros(2), "exact", True):
        with pytest.raises(ValueError, match=r"log_partition must be a number or what log_part"):
            machine.log_likelihood(prototypes[:2], wrong)


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
    assert np.isfinite(machine.score(X[:300]))
    errors = machine.history_["reconstruction_error"]
    assert errors[-1] < errors[0]
    if variance != "learned":
        assert_allclose(machine.variance_, 0.5, rtol=1e-6)


@pytest.mark.parametrize("parameters", [{}, {"momentum": 0.9}, {"learning_rate": 1.0}], ids=str)
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_digits])
def test_rectified_gaussian_machine_does_not_diverge(load, parameters):
    X = StandardScaler().fit_transform(load().data)
    with warnings.catch_warnings(action="error"):
        machine = quick(GaussianRBM, hidden="relu", **parameters).fit(X)
    assert np.isfinite(np.concatenate(list(machine.history_.values()))).all()
    # Samples of a machine without a density grow from step to step.
    assert 0.5 < machine.sample(200, n_gibbs_steps=100).std() < 2
    # It has a density if the hidden units add less to the log of it than the features take.
    norm = np.linalg.norm(machine.components_ / np.sqrt(machine.variance_), 2)
    assert norm < 1.02


def test_machine_of_no_finite_error_is_refused(prototypes, monkeypatch):
    """Here the weights of the second epoch are finite, but not what follows from them."""
    take_step, n_steps = RBMModule.training_step, 0

    def last_step_too_far(self, *arguments):
        nonlocal n_steps
        n_steps += 1
        returned = take_step(self, *arguments)
        if n_steps == 2:
            self.weight.fill_(1e38)
        return returned

    monkeypatch.setattr(RBMModule, "training_step", last_step_too_far)
    machine = quick(GaussianRBM, n_iter=2, batch_size=400)
    with pytest.raises(ValueError, match="stopped being finite in epoch 2; the last good weights"):
        machine.fit(prototypes)
    assert np.isfinite(machine.history_["reconstruction_error"]).all()
    assert np.abs(machine.components_).max() < 1


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
        generator, batch, step = Generator(0), Batch(torch.zeros(200, 8)), step_at(0.0)
        for _ in range(200):
            module.training_step(batch, module.sample_noise(batch, generator), step)
        v = module.advance(batch.x, module.sample_noise(batch, generator))[: module.n_chains]
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


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_values_that_are_no_probabilities_of_a_deep_belief_network(prototypes, method):
    network = quick(DeepBeliefNetwork, learning_rate=1e-3)
    with pytest.warns(UserWarning, match="probabilities") as caught:
        getattr(network, method)(2 * prototypes)
    (warning,) = caught
    message = str(warning.message)
    assert message.startswith("DeepBeliefNetwork takes values as probabilities")
    assert message.endswith('MinMaxScaler, or set visible="gaussian".')


def test_likelihoods_that_cannot_be_computed(prototypes, standardised):
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
    for parameters in (
        {"n_samples": 0},
        {"n_gibbs_steps": 0},
        {"n_samples": 2.5},
        {"n_samples": True},
    ):
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


@pytest.mark.parametrize(("n_steps", "n_iter"), [(12, None), (17, None), (21, [5, 2])])
def test_ctrl_c_ends_the_training_of_all_layers(digits, monkeypatch, n_steps, n_iter):
    """What was learned is kept once the top layer has learned for an epoch."""
    original, calls = RBMModule.training_step, 0

    def interrupted_step(self, *arguments):
        nonlocal calls
        calls += 1
        if calls > n_steps:
            raise KeyboardInterrupt
        return original(self, *arguments)

    network = quick(DeepBeliefNetwork, hidden_layer_sizes=(8, 4), batch_size=600)  # 3 steps
    monkeypatch.setattr(RBMModule, "training_step", interrupted_step)
    with pytest.raises(KeyboardInterrupt):
        network.fit(digits)
    assert calls == n_steps + 1
    if n_iter is None:
        assert not hasattr(network, "rbms_")
        return
    assert [machine.n_iter_ for machine in network.rbms_] == n_iter
    assert network.transform(digits).shape == (len(digits), 4)


@pytest.mark.parametrize("sizes", [(), (0,), (2.5,), ("8",), (True,)], ids=str)
def test_bad_hidden_layer_sizes(digits, sizes):
    with pytest.raises(ValueError, match="hidden_layer_sizes must be one or more positive int"):
        quick(DeepBeliefNetwork, hidden_layer_sizes=sizes).fit(digits)


def test_bad_layer(digits):
    network = quick(DeepBeliefNetwork, hidden_layer_sizes=(8, 4)).fit(digits)
    for method, X in (("transform", digits), ("inverse_transform", digits[:, :4])):
        for layer in (2, True):
            with pytest.raises(ValueError, match=f"integer from -2 to 1, got {layer}"):
                getattr(network, method)(X, layer=layer)
