"""The contractive autoencoder: its Jacobian, by every way to it."""

import pickle

import numpy as np
import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from torch import nn

from skae import Autoencoder, ContractiveAutoencoder
from skae._random import Generator, seeded_initialisation
from skae._training import Batch, Trainable
from skae.layers import Dense

STOCHASTIC = Dense((16,), batch_norm=True, dropout=0.3, activation="tanh")


def brute_force(module, x):
    """Return the Jacobian of each row by itself, one backward pass per unit."""
    return torch.stack([torch.autograd.functional.jacobian(module.encode, row) for row in x])


def fitted(X, **parameters):
    return quick(ContractiveAutoencoder, **parameters).fit(X)


def squared_norm(module, x, probes=None):
    """Return the penalty of each row in float64."""
    return module.double().squared_norm(x, probes).detach().numpy()


@pytest.mark.parametrize("hidden_layers", [(), (16,), (16, 12), STOCHASTIC], ids=str)
@pytest.mark.parametrize("activation", ["identity", "sigmoid", "gelu"])
def test_jacobian_is_that_of_transform_at_each_row(table, hidden_layers, activation):
    model = fitted(table, n_components=4, hidden_layers=hidden_layers, code_activation=activation)
    X, step = table[:7], 1e-6
    jacobian = model.jacobian(X)
    assert jacobian.shape == (7, 4, 5)
    for feature, change in enumerate(step * np.eye(5)):
        difference = model.transform(X + change) - model.transform(X - change)
        numeric = difference / (2 * step)
        # A hidden ReLU may have its kink within a step of a row.
        assert np.median(np.abs(jacobian[:, :, feature] - numeric)) < 1e-8
    rows = torch.from_numpy(X).unsqueeze(1)
    expected = brute_force(model.module_.double(), rows)[:, 0, :, 0]
    assert_allclose(jacobian, expected, rtol=1e-9, atol=1e-12)


def test_jacobian_keeps_the_dtype_and_reads_csr(digits):
    model = fitted(digits)
    jacobian = model.jacobian(digits[:9])
    assert jacobian.dtype == np.float32
    assert_array_equal(model.jacobian(sparse.csr_matrix(digits[:9])), jacobian)
    assert model.jacobian(digits[:9].astype(np.float64)).dtype == np.float64


@pytest.mark.parametrize("activation", ["identity", "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("hidden_layers", [(), Dense((), tied_weights=True, dropout=0.5)], ids=str)
def test_closed_form_is_the_norm_of_the_autograd_jacobian(digits, activation, hidden_layers):
    parameters = dict(code_activation=activation, hidden_layers=hidden_layers)
    model = fitted(digits, **parameters)
    assert model.module_.penalty == "closed_form"  # that is what "auto" takes
    x = torch.from_numpy(digits[:50])
    expected = brute_force(model.module_, x).square().sum(dim=(1, 2))
    assert_allclose(model.module_.squared_norm(x).detach(), expected, rtol=1e-5)
    assert expected.min() > 0.01


@pytest.mark.parametrize("activation", ["identity", "relu", "sigmoid", "tanh", "gelu"])
def test_pickle(table, activation):
    model = fitted(table, hidden_layers=(), code_activation=activation)
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(loaded.jacobian(table), model.jacobian(table))
    assert_array_equal(
        loaded.partial_fit(table).transform(table), model.partial_fit(table).transform(table)
    )


@pytest.mark.parametrize("hidden_layers", [(), (16, 12), STOCHASTIC], ids=str)
def test_exact_is_the_norm_of_the_autograd_jacobian(digits, hidden_layers):
    module = fitted(digits, penalty="exact", hidden_layers=hidden_layers, max_iter=2).module_
    x = torch.from_numpy(digits[:20]).double()
    expected = brute_force(module.double(), x[:, None]).square().sum(dim=(1, 2, 3, 4))
    assert_allclose(squared_norm(module, x), expected, rtol=1e-9)


def test_estimate_is_right_in_the_mean(table):
    n_probes = 4000
    parameters = dict(penalty="estimate", n_probes=n_probes, n_components=6, hidden_layers=(8,))
    with seeded_initialisation(0):
        module = ContractiveAutoencoder(**parameters)._make_module(5).double()
    x = torch.from_numpy(table[:10])
    probes, _ = module.sample_noise(Batch(x), Generator(0))
    assert probes.shape == (n_probes, 10, 6)
    assert set(probes.unique().tolist()) == {-1, 1}
    gram = torch.einsum("nif,njf->nij", *2 * [module.jacobian(x)])
    exact = gram.diagonal(dim1=1, dim2=2).sum(1).detach().numpy()
    # The variance of one estimate is twice the sum of the squared entries off the diagonal.
    variance = 2 * (gram.square().sum((1, 2)) - gram.diagonal(dim1=1, dim2=2).square().sum(1))
    error = np.sqrt(variance.detach().numpy() / n_probes)
    assert (error < 0.05 * exact).all()
    assert (np.abs(squared_norm(module, x, probes) - exact) < 4.5 * error).all()


def test_gradient_of_the_estimate_is_right_in_the_mean(table):
    module = fitted(table, n_components=3, hidden_layers=(8,), code_activation="tanh").module_
    module.double()
    x = torch.from_numpy(table[:10])
    weights = [p for p in module.encoder.parameters() if p.ndim > 1]
    exact = torch.autograd.grad(module.jacobian(x).square().sum(), weights)
    # All eight patterns of signs, each once: the mean over the distribution itself.
    signs = torch.cartesian_prod(*3 * [torch.tensor([-1.0, 1.0], dtype=torch.float64)])
    estimate = module.squared_norm(x, signs[:, None].expand(8, 10, 3)).sum()
    for got, expected in zip(torch.autograd.grad(estimate, weights), exact, strict=True):
        assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("penalty", ["closed_form", "exact", "estimate"])
def test_loss_is_the_error_plus_the_weighted_norm(digits, penalty):
    parameters = dict(code_activation="sigmoid", hidden_layers=(), max_iter=1, alpha=0.3)
    module = fitted(digits, penalty=penalty, **parameters).module_
    x = torch.from_numpy(digits[:30])
    noise = module.sample_noise(Batch(x), Generator(0))
    with torch.no_grad():  # as for validation rows
        loss = module.loss(Batch(x), noise)
        expected = -module.log_score(x) + 0.3 * module.squared_norm(x, noise[0])
    assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        (dict(hidden_layers=(), code_activation="tanh"), "closed_form"),
        (dict(hidden_layers=(), code_activation="gelu"), "estimate"),
        (dict(n_components=4, n_probes=4), "exact"),
        (dict(n_components=5, n_probes=4), "estimate"),
        (dict(hidden_layers=(8,), code_activation="tanh", penalty="exact"), "exact"),
    ],
    ids=str,
)
def test_rule_of_auto(table, parameters, rule):
    assert fitted(table, max_iter=1, **parameters).module_.penalty == rule


@pytest.mark.parametrize("penalty", ["closed_form", "exact", "estimate"])
def test_penalty_shrinks_the_jacobian(digits, penalty):
    layers = Dense((), tied_weights=True)
    parameters = dict(hidden_layers=layers, code_activation="sigmoid", max_iter=30, tol=0)
    norms = [
        (fitted(digits, alpha=alpha, penalty=penalty, **parameters).jacobian(digits) ** 2).sum()
        for alpha in (0.0, 0.1)
    ]
    assert norms[1] < 0.5 * norms[0]


def test_without_penalty_it_is_the_plain_autoencoder(digits):
    parameters = dict(code_activation="sigmoid", hidden_layers=())
    plain = quick(Autoencoder, **parameters).fit_transform(digits)
    assert_array_equal(fitted(digits, alpha=0.0, **parameters).transform(digits), plain)


def test_linear_twin_has_the_known_optimum(normal_table):
    # Linear and tied, the loss is mean |x - W'Wx|^2 / p + alpha |W|^2 over rows of zero mean:
    # along a principal axis of variance l the best squared weight is 1 - alpha p / (2 l).
    X = normal_table - normal_table.mean(axis=0)
    alpha, variances = 0.05, np.linalg.eigvalsh(X.T @ X / len(X))[::-1]
    model = fitted(
        X,
        n_components=2,
        alpha=alpha,
        hidden_layers=Dense((), tied_weights=True),
        batch_size=300,
        learning_rate=1e-2,
        max_iter=1500,
        tol=0,
        n_iter_no_change=1500,
    )
    singular = np.linalg.svd(model.jacobian(X[:1])[0], compute_uv=False)
    expected = 1 - alpha * 5 / (2 * variances[:2])
    assert_allclose(np.sort(singular**2)[::-1], np.sort(expected)[::-1], atol=2e-3)


def test_penalty_is_that_of_the_encoder_as_it_reads(table):
    module = fitted(table, hidden_layers=STOCHASTIC, penalty="exact").module_
    x = torch.from_numpy(table[:20]).float()
    reading = module.squared_norm(x).detach()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.train()
    assert_array_equal(module.squared_norm(x).detach(), reading)
    assert all(part.training for part in module.modules())
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


def test_layers_of_the_user(table):
    class Layers:
        def make_encoder(self, n_features, n_components):
            return nn.Linear(n_features, n_components)

        def make_decoder(self, n_features, n_components, encoder):
            return nn.Linear(n_components, n_features)

    assert fitted(table, hidden_layers=Layers()).module_.penalty == "closed_form"


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"penalty": "jacobian"}, r"'penalty'.*'closed_form'"),
        ({"penalty": "closed_form"}, r"hidden_layers=\(\).*not hidden_layers=\(128,\).*'auto'"),
        (
            {"penalty": "closed_form", "hidden_layers": (), "code_activation": "gelu"},
            r"code_activation='gelu'",
        ),
        ({"alpha": -1.0}, r"'alpha'"),
        ({"n_probes": 0}, r"'n_probes'"),
    ],
    ids=str,
)
def test_bad_parameters(table, method, parameters, message, monkeypatch):
    monkeypatch.setattr(Trainable, "training_step", lambda *_: pytest.fail("it trained"))
    with pytest.raises(ValueError, match=message):
        getattr(quick(ContractiveAutoencoder, **parameters), method)(table)
