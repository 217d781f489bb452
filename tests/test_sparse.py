"""The sparse autoencoder: its penalties, its winners and its dead units."""

import pickle

import numpy as np
import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import entropy
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skae import Autoencoder, SparseAutoencoder
from skae._training import Batch, Trainable
from skae.layers import Dense
from skae.losses import bernoulli_divergence, mean_activity


def untrained(X, **parameters):
    """Return the module of a fit whose weights have hardly moved, and a batch."""
    fitted = quick(SparseAutoencoder, max_iter=1, learning_rate=1e-6, **parameters).fit(X)
    return fitted.module_, torch.from_numpy(np.asarray(X, dtype=np.float32))


def losses_beside_plain(X, **parameters):
    """Return what the loss of each row has that the error alone has not."""
    module, x = untrained(X, **parameters)
    with torch.no_grad():
        code = module.training_code(x, None)
        extra = module.loss(Batch(x), None) - module.decoding_loss(code, x, None)
    return extra.numpy(), code.numpy().astype(np.float64)


# -- penalties -------------------------------------------------------------------------


def test_l1_is_the_mean_absolute_code_of_each_row(table):
    extra, code = losses_beside_plain(table, alpha=0.7, code_activation="tanh")
    assert_allclose(extra, 0.7 * np.abs(code).mean(axis=1), rtol=1e-4)


def test_kl_is_the_divergence_from_the_target_to_the_mean_of_the_batch(table):
    extra, code = losses_beside_plain(
        table, sparsity="kl", target=0.1, alpha=0.7, code_activation="sigmoid"
    )
    found = code.mean(axis=0)
    expected = entropy([np.full(256, 0.1), np.full(256, 0.9)], [found, 1 - found], axis=0)
    assert_allclose(extra, 0.7 * expected.mean(), rtol=1e-4)  # the same for each row


def test_penalties_of_known_codes():
    code = torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.0, 0.0]])
    assert_allclose(mean_activity(code), [1.0, 0.0])
    rate = torch.tensor([0.5, 0.25])
    expected = [0.0, 0.5 * np.log(2) + 0.5 * np.log(2 / 3)]
    assert_allclose(bernoulli_divergence(torch.tensor(0.5), rate), expected, atol=1e-7)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_divergence_of_a_saturated_unit_is_finite(rate):
    rate = torch.tensor(rate, requires_grad=True)
    loss = bernoulli_divergence(torch.tensor(0.05), rate)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(rate.grad)


def test_more_alpha_makes_the_code_sparser(digits):
    parameters = dict(max_iter=30, tol=0)
    activity = [
        quick(SparseAutoencoder, alpha=alpha, **parameters).fit_transform(digits)
        for alpha in (0.0, 0.1, 1.0)
    ]
    means = [codes.mean() for codes in activity]
    shares = [(codes > 0).mean() for codes in activity]
    assert means[0] > 5 * means[1] > 10 * means[2]
    assert shares[0] > 2 * shares[1] > 4 * shares[2]


def test_without_penalty_it_is_the_plain_autoencoder(digits):
    plain = quick(Autoencoder, n_components=20, code_activation="relu")
    without = quick(SparseAutoencoder, n_components=20, alpha=0.0)
    assert_array_equal(without.fit_transform(digits), plain.fit_transform(digits))


def test_kl_brings_the_units_to_their_target(digits):
    fitted = quick(
        SparseAutoencoder,
        n_components=64,
        sparsity="kl",
        target=0.1,
        alpha=1.0,
        code_activation="sigmoid",
        learning_rate=1e-2,
        max_iter=60,
        tol=0,
    ).fit(digits)
    assert np.median(fitted.mean_activation_) == pytest.approx(0.1, abs=0.02)


# -- the k largest ---------------------------------------------------------------------


@pytest.mark.parametrize("alpha_test", [1.0, 2.5, 0.01, 1000])
def test_k_keeps_k_in_training_and_some_more_in_reading(table, alpha_test):
    parameters = dict(sparsity="k", k=6, alpha_test=alpha_test, code_activation="identity")
    module, x = untrained(table, n_components=20, **parameters)
    with torch.no_grad():
        everything = module.code_activation(module.encoder(x)).numpy()
        training, reading = module.training_code(x, None).numpy(), module.encode(x).numpy()
    for code, kept in [(training, 6), (reading, {2.5: 15, 0.01: 1, 1000: 20}.get(alpha_test, 6))]:
        assert ((code != 0).sum(axis=1) == kept).all()
        threshold = np.sort(everything, axis=1)[:, [-kept]]
        assert_array_equal(code, np.where(everything >= threshold, everything, 0))


def test_reconstructions_come_from_the_kept_units(digits):
    fitted = quick(SparseAutoencoder, sparsity="k", k=5).fit(digits)
    codes = fitted.transform(digits)
    assert (codes != 0).sum(axis=1).max() == 5
    assert_array_equal(fitted.inverse_transform(codes), fitted.reconstruct(digits))
    errors = ((fitted.reconstruct(digits) - digits) ** 2).mean(axis=1)
    assert_allclose(fitted.reconstruction_error(digits), errors, rtol=1e-5)


# -- winners over the batch --------------------------------------------------------------


@pytest.mark.parametrize(("fraction", "kept"), [(0.05, 15), (0.5, 150), (1e-6, 1), (1.0, 300)])
def test_lifetime_keeps_its_fraction_of_each_unit(table, fraction, kept):
    parameters = dict(sparsity="lifetime", lifetime_fraction=fraction, code_activation="identity")
    module, x = untrained(table, n_components=8, **parameters)
    with torch.no_grad():
        everything = module.encode(x).numpy()
        code = module.training_code(x, None).numpy()
    assert ((code != 0).sum(axis=0) == kept).all()
    threshold = np.sort(everything, axis=0)[-kept]
    assert_array_equal(code, np.where(everything >= threshold, everything, 0))
    assert (everything != 0).all()  # reading selects nothing


def test_gradients_flow_through_the_winners_alone(table):
    module, x = untrained(table, sparsity="lifetime", lifetime_fraction=0.1)
    x.requires_grad_()
    code = module.training_code(x, None)
    code.sum().backward()
    unused = (code == 0).all(dim=1)
    assert 0 < unused.sum() < 300
    assert (x.grad[unused] == 0).all()
    assert (x.grad[~unused] != 0).any(dim=1).all()


@pytest.mark.parametrize("sparsity", ["l1", "kl", "k", "lifetime"])
def test_a_batch_mate_changes_no_code_in_reading(table, sparsity):
    activation = "sigmoid" if sparsity == "kl" else "relu"
    fitted = quick(SparseAutoencoder, sparsity=sparsity, code_activation=activation).fit(table)
    alone = np.concatenate([fitted.transform(table[i : i + 1]) for i in range(20)])
    assert_allclose(fitted.transform(table)[:20], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sparsity", ["l1", "kl", "k", "lifetime"])
def test_each_kind_learns(digits, sparsity):
    activation = "sigmoid" if sparsity == "kl" else "relu"
    fitted = quick(
        SparseAutoencoder, sparsity=sparsity, code_activation=activation, max_iter=40, tol=0
    ).fit(digits)
    assert fitted.loss_curve_[-1] < 0.7 * fitted.loss_curve_[0]
    assert fitted.loss_curve_[-1] < digits.var(axis=0).mean()  # the error of a constant answer


@pytest.mark.parametrize("sparsity", ["kl", "k", "lifetime"])
def test_each_kind_keeps_the_promises_of_the_default(table, sparsity):
    # What test_properties.py holds "l1" to, where the others could break it.
    estimator = quick(
        SparseAutoencoder,
        sparsity=sparsity,
        code_activation="sigmoid" if sparsity == "kl" else "relu",
        hidden_layers=Dense((16,), batch_norm=True, dropout=0.3),
        early_stopping=True,
        batch_size=50,
    )
    codes = estimator.fit_transform(table)
    assert_array_equal(clone(estimator).fit_transform(table), codes)
    assert_array_equal(pickle.loads(pickle.dumps(estimator)).transform(table), codes)
    for n_rows in (2, 51):
        assert np.isfinite(estimator.fit(table[:n_rows]).score_samples(table)).all()
        assert np.isfinite(estimator.partial_fit(table[:1]).transform(table)).all()


# -- the units after a fit ----------------------------------------------------------------


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
def test_mean_activation_and_dead_units(digits, container, monkeypatch):
    monkeypatch.setattr("skae._training._source.DENSE_NUMBERS", 6400)  # several chunks
    fitted = quick(SparseAutoencoder, alpha=1.0).fit(container(digits))
    codes = fitted.transform(digits)
    assert_allclose(fitted.mean_activation_, codes.mean(axis=0), rtol=1e-4, atol=1e-7)
    assert_array_equal(fitted.dead_units_, np.flatnonzero((codes == 0).all(axis=0)))
    assert 0 < len(fitted.dead_units_) < 256
    fitted.partial_fit(container(digits[:50]))
    codes = fitted.transform(digits[:50])
    assert_allclose(fitted.mean_activation_, codes.mean(axis=0), rtol=1e-4, atol=1e-7)


def test_mean_activation_is_weighted(table):
    weight = np.random.default_rng(0).integers(0, 3, 300)
    fitted = quick(SparseAutoencoder, batch_size=50).fit(table, sample_weight=weight)
    expected = np.average(fitted.transform(table), axis=0, weights=weight)
    assert_allclose(fitted.mean_activation_, expected, rtol=1e-4, atol=1e-7)


def test_most_units_dead_is_a_warning_that_says_what_to_try(digits):
    with pytest.warns(ConvergenceWarning, match=r"of the 256 units.*never active.*larger k"):
        fitted = quick(SparseAutoencoder, sparsity="k", k=1, max_iter=20).fit(digits)
    assert len(fitted.dead_units_) > 128


# -- bad input -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sparsity": "l0"}, r"'sparsity'.*'lifetime'"),
        ({"sparsity": "k", "n_components": 10}, r"k=25.*n_components=10"),
        ({"sparsity": "kl"}, r"set code_activation='sigmoid' \(now 'relu'\)"),
        ({"alpha": -1.0}, r"'alpha'"),
        ({"target": 0.0}, r"'target'"),
        ({"target": 1.0}, r"'target'"),
        ({"k": 0}, r"'k'"),
        ({"alpha_test": 0}, r"'alpha_test'"),
        ({"lifetime_fraction": 0.0}, r"'lifetime_fraction'"),
        ({"lifetime_fraction": 1.5}, r"'lifetime_fraction'"),
    ],
    ids=str,
)
def test_bad_parameters(table, method, parameters, message, monkeypatch):
    monkeypatch.setattr(Trainable, "training_step", lambda *_: pytest.fail("it trained"))
    with pytest.raises(ValueError, match=message):
        getattr(quick(SparseAutoencoder, **parameters), method)(table)
