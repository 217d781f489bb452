"""The plain autoencoder against theory and twins."""

import warnings
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from skorch.callbacks import Callback
from torch import nn

from skae import (
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
)
from skae._training import as_source
from skae.autoencoders._checks import loss_of_mean
from skae.layers import Dense


def numpy_error(loss, output, target):
    difference = np.abs(output - target)
    if loss == "squared_error":
        return difference**2
    if loss == "absolute_error":
        return difference
    if loss == "huber":
        return np.where(difference < 1, difference**2 / 2, difference - 0.5)
    return -target * np.log(output) - (1 - target) * np.log1p(-output)


ALL = [Autoencoder, ContractiveAutoencoder, DenoisingAutoencoder, SparseAutoencoder]
LOSSES = ["squared_error", "absolute_error", "huber", "binary_cross_entropy"]


@pytest.mark.parametrize("loss", LOSSES)
def test_errors_follow_their_formula(digits, loss):
    X = digits[:200].astype(np.float64) * (1 if loss == "binary_cross_entropy" else 5)
    autoencoder = quick(Autoencoder, loss=loss).fit(X)
    rebuilt = autoencoder.reconstruct(X)
    expected = numpy_error(loss, rebuilt, X)
    per_feature = autoencoder.reconstruction_error(X, per_feature=True)
    assert_allclose(per_feature, expected, rtol=1e-9, atol=1e-12)
    assert_allclose(autoencoder.reconstruction_error(X), expected.mean(axis=1), rtol=1e-9)
    assert_array_equal(autoencoder.score_samples(X), -autoencoder.reconstruction_error(X))
    assert_allclose(autoencoder.inverse_transform(autoencoder.transform(X)), rebuilt, rtol=1e-12)
    if loss == "binary_cross_entropy":
        assert rebuilt.min() > 0
        assert rebuilt.max() < 1


TABLES = {
    "iris": load_iris,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "digits": lambda: Bunch(data=load_digits().data[::6]),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("estimator_class", ALL)
def test_default_fits_of_ordinary_tables_end_without_a_warning(estimator_class, table):
    X = StandardScaler().fit_transform(table().data)
    with warnings.catch_warnings(action="error"):
        estimator = estimator_class(random_state=0).fit(X)
    assert estimator.n_iter_ < estimator.max_iter
    left = ((X - estimator.reconstruct(X)) ** 2).mean()
    assert left < 0.1 * X.var()


@pytest.mark.parametrize(
    ("estimator_class", "parameters", "advice"),
    [
        (Autoencoder, {"learning_rate": 10.0}, r"another learning_rate \(now 10\)"),
        (Autoencoder, {"learning_rate": 10.0, "early_stopping": True}, "another learning_rate"),
        (Autoencoder, {"learning_rate": 1e-9}, r"another learning_rate \(now 1e-09\)"),
        (
            Autoencoder,
            {"weight_decay": 10.0, "learning_rate": 0.01},
            r"a smaller weight_decay \(now 10\)",
        ),
        (SparseAutoencoder, {"alpha": 100.0}, r"a smaller alpha \(now 100\)"),
        (Autoencoder, {"loss": "absolute_error", "learning_rate": 10.0}, "learning_rate"),
        (Autoencoder, {"loss": "binary_cross_entropy", "l1": 1.0}, r"a smaller l1 \(now 1\)"),
    ],
)
def test_a_fit_no_better_than_the_mean_warns(digits, estimator_class, parameters, advice):
    estimator = quick(estimator_class, max_iter=300, **parameters)
    with pytest.warns(ConvergenceWarning, match=f"learned nothing: its loss.*{advice}"):
        estimator.fit(digits[:300])


def test_a_fit_that_learns_little_does_not_warn(recwarn):
    X = np.random.default_rng(0).normal(size=(300, 40))  # of which a number keeps about 5 %
    estimator = quick(Autoencoder, n_components=1, hidden_layers=(), max_iter=1000).fit(X)
    assert 0.9 * X.var() < -estimator.score(X) < X.var()
    quick(Autoencoder, max_iter=1000).fit(np.full((150, 3), 0.3))  # nothing is to be learned
    quick(Autoencoder, tol=10.0, max_iter=50).fit(X)  # and nothing asked for
    assert not recwarn.list


def test_loss_of_the_mean_is_that_of_a_constant():
    X = np.random.default_rng(0).random((200, 3)).astype(np.float32)
    weight = np.arange(200.0)
    mean = np.average(X, axis=0, weights=weight)
    for loss in LOSSES:
        module = quick(Autoencoder, loss=loss, max_iter=1).fit(X).module_
        error = numpy_error(loss, np.broadcast_to(mean, X.shape), X).mean(axis=1)
        found = loss_of_mean(module, as_source(X, weight, torch.device("cpu")))
        assert found == pytest.approx(np.average(error, weights=weight), rel=1e-5)


def test_linear_autoencoder_is_pca(table):
    X = table - table.mean(axis=0)
    autoencoder = quick(
        Autoencoder, n_components=2, hidden_layers=(), learning_rate=1e-2, max_iter=1500, tol=0
    ).fit(X)
    pca = PCA(2).fit(X)
    pca_error = ((X - pca.inverse_transform(pca.transform(X))) ** 2).mean()
    assert -autoencoder.score(X) < pca_error + 0.01 * X.var()
    # The decoder spans the leading components: all principal angles are small.
    basis, _ = np.linalg.qr(autoencoder.module_.decoder[0].weight.detach().numpy())
    cosines = np.linalg.svd(pca.components_ @ basis, compute_uv=False)
    assert cosines.min() > 0.999


def test_overcomplete_code_learns_the_identity(normal_table):
    autoencoder = quick(
        Autoencoder, n_components=9, hidden_layers=(), learning_rate=1e-2, max_iter=500, tol=0
    ).fit(normal_table)
    assert -autoencoder.score(normal_table) < 1e-3 * normal_table.var()


@pytest.mark.parametrize(("weight_decay", "l1"), [(0.0, 0.0), (0.1, 0.0), (0.0, 1e-3)])
def test_fit_equals_a_plain_torch_loop(digits, weight_decay, l1):
    X = digits[:100]  # one batch: the order of the rows does not matter
    settings = {"hidden_layers": (20,), "n_components": 6, "weight_decay": weight_decay, "l1": l1}
    start = quick(Autoencoder, **settings, max_iter=1, learning_rate=1e-30).fit(X).module_
    net = nn.Sequential(*start.encoder, *start.decoder).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    x = torch.from_numpy(np.unique(X, axis=0))
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        weights = [p for name, p in net.named_parameters() if "weight" in name]
        penalty = sum(weight_decay / 2 * (w**2).sum() + l1 * w.abs().sum() for w in weights)
        loss = F.mse_loss(net(x), x) + penalty
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    autoencoder = quick(Autoencoder, **settings, max_iter=30, tol=0).fit(X)
    assert_allclose(autoencoder.loss_curve_, losses, rtol=1e-4)
    expected = net[:3](torch.from_numpy(X)).detach().numpy()
    assert_allclose(autoencoder.transform(X), expected, rtol=1e-3, atol=1e-4)


def test_weights_are_repetitions(digits):
    X = digits[:60]
    weight = np.random.default_rng(0).integers(0, 4, 60)
    weighted = quick(Autoencoder, max_iter=20, tol=0).fit(X, sample_weight=weight)
    repeated = quick(Autoencoder, max_iter=20, tol=0).fit(X.repeat(weight, axis=0))
    assert_array_equal(weighted.transform(X), repeated.transform(X))


def repeated_rows():
    """Return 60 rows of which 9 differ, as one batch, some much more frequent than others."""
    rng = np.random.default_rng(0)
    return rng.choice(3, size=(60, 2), p=[0.7, 0.2, 0.1]).astype(np.float32)


def start_of(**parameters):
    """Return the network after one epoch in which nothing is learned."""
    X = repeated_rows()
    return quick(max_iter=1, learning_rate=1e-30, **parameters).fit(X).module_, torch.tensor(X)


def test_batch_normalisation_sees_each_row():
    layers = Dense((5,), batch_norm=True)
    module, x = start_of(estimator_class=Autoencoder, hidden_layers=layers)
    hidden = module.encoder[0](x).detach()
    assert_allclose(module.encoder[1].running_mean, 0.1 * hidden.mean(0), rtol=1e-5, atol=1e-7)
    expected = 0.9 + 0.1 * hidden.var(0, correction=0)
    assert_allclose(module.encoder[1].running_var, expected, rtol=1e-5)


@pytest.mark.parametrize("sparsity", ["kl", "lifetime"])
def test_sparsity_over_a_batch_sees_each_row(sparsity):
    # With one unit it makes no difference which of several equal rows it keeps.
    estimator = quick(
        SparseAutoencoder, n_components=1, sparsity=sparsity, code_activation="sigmoid"
    )
    estimator.set_params(max_iter=1, learning_rate=1e-30, target=0.2, lifetime_fraction=0.1)
    X = repeated_rows()
    (loss,) = estimator.fit(X).loss_curve_
    module, x = estimator.module_, torch.tensor(X)
    with torch.no_grad():
        code = module.encoder(x).sigmoid()
        penalty = 0.0
        if sparsity == "kl":
            rate = code.mean(0)
            penalty = 0.1 * (0.2 * (0.2 / rate).log() + 0.8 * (0.8 / (1 - rate)).log()).mean()
        else:
            code[code[:, 0].argsort()[:-6]] = 0  # but for 6 of 60 rows
        expected = F.mse_loss(module.decoder(code), x) + penalty
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_early_stopping_holds_out_rows_and_not_whole_patterns():
    X = np.repeat(np.eye(4), 50, axis=0)
    settings = {"n_components": 4, "max_iter": 1000, "learning_rate": 1e-2}
    autoencoder = quick(Autoencoder, early_stopping=True, **settings).fit(X)
    assert -autoencoder.score(X) < 1e-3  # the variance is 0.19


def test_equal_rows_are_many_samples():
    X = np.ones((150, 3))
    for parameters in ({"early_stopping": True}, {"init": "pca", "n_components": 2}):
        assert quick(Autoencoder, **parameters).fit(X).n_iter_ == 5


def test_code_activation(table):
    for activation, low, high in [("relu", 0, np.inf), ("sigmoid", 0, 1), ("tanh", -1, 1)]:
        codes = quick(Autoencoder, code_activation=activation).fit_transform(table)
        assert codes.min() >= low
        assert codes.max() <= high


def test_binary_cross_entropy_warns_outside_zero_and_one(table):
    with pytest.warns(UserWarning, match="MinMaxScaler"):
        quick(Autoencoder, loss="binary_cross_entropy").fit(2 * table)


def test_values_between_zero_and_one_do_not_warn(digits, recwarn):
    quick(Autoencoder, loss="binary_cross_entropy", tol=100, max_iter=20).fit(digits[:50])
    assert not recwarn.list


def test_a_users_own_layers(table):
    class Mirror:
        """One hidden layer of the user's making."""

        def make_encoder(self, n_features, n_components):
            return nn.Sequential(nn.Linear(n_features, 7), nn.Tanh(), nn.Linear(7, n_components))

        def make_decoder(self, n_features, n_components, encoder):
            return nn.Sequential(nn.Linear(n_components, 7), nn.Tanh(), nn.Linear(7, n_features))

    first = quick(Autoencoder, n_components=3, hidden_layers=Mirror()).fit(table)
    again = quick(Autoencoder, n_components=3, hidden_layers=Mirror()).fit(table)
    assert first.transform(table).shape == (300, 3)
    assert_array_equal(first.transform(table), again.transform(table))


def test_tied_weights_are_shared_and_learned(table):
    layers = Dense((8,), tied_weights=True)
    autoencoder = quick(
        Autoencoder, n_components=2, hidden_layers=layers, max_iter=100, learning_rate=1e-2
    ).fit(table)
    encoder, decoder = autoencoder.module_.encoder, autoencoder.module_.decoder
    assert decoder[0].weight is encoder[2].weight
    assert decoder[2].weight is encoder[0].weight
    assert -autoencoder.score(table) < 0.5 * table.var()
    n_weights = sum(p.numel() for p in autoencoder.module_.parameters())
    assert n_weights == 5 * 8 + 8 * 2 + (8 + 2) + (8 + 5)


LINEAR = {"hidden_layers": (), "learning_rate": 1e-2, "tol": 0}


def test_ordered_linear_components_are_those_of_pca_in_order():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4)) * [4, 2, 1, 0.2]
    X = (X - X.mean(axis=0)) @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    settings = LINEAR | {"batch_size": 400, "max_iter": 3000, "n_iter_no_change": 3000}
    autoencoder = quick(Autoencoder, n_components=3, ordered=True, **settings).fit(X)
    for k in (1, 2, 3):
        shorter = autoencoder.truncate(k)
        pca = PCA(k).fit(X)
        pca_error = ((X - pca.inverse_transform(pca.transform(X))) ** 2).mean()
        assert -shorter.score(X) < pca_error + 0.01 * X.var()

    assert len(autoencoder.get_feature_names_out()) == 3


@pytest.mark.parametrize("estimator_class", [Autoencoder, DenoisingAutoencoder])
def test_truncated_estimator_keeps_the_first_components(digits, estimator_class):
    autoencoder = quick(estimator_class, n_components=8, ordered=True).fit(digits)
    shorter = autoencoder.truncate(3)
    codes = autoencoder.transform(digits)
    assert_array_equal(shorter.transform(digits), codes[:, :3])
    zeroed = codes * (np.arange(8) < 3)
    assert_array_equal(shorter.reconstruct(digits), autoencoder.inverse_transform(zeroed))
    assert len(shorter.get_feature_names_out()) == shorter.n_components == 3
    assert_array_equal(shorter.truncate(2).transform(digits), codes[:, :2])
    assert autoencoder.transform(digits).shape[1] == 8  # the first is as it was


def test_truncate_needs_ordered_components(digits):
    with pytest.raises(ValueError, match="ordered=True"):
        quick(Autoencoder).fit(digits).truncate(3)
    for k in (0, 9, 2.0, "2"):
        with pytest.raises(ValueError, match=f"an integer from 1 to 8, got {k!r}"):
            quick(Autoencoder, n_components=8, ordered=True).fit(digits).truncate(k)


def test_inpainting_solves_for_the_missing_entries():
    # Rows on a plane: three known entries of five determine the other two.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2)) @ rng.normal(size=(2, 5))
    autoencoder = quick(Autoencoder, n_components=2, max_iter=2000, **LINEAR).fit(X)
    mask = np.zeros(X.shape, dtype=bool)
    mask[::2, 1] = mask[::3, 4] = True
    filled = autoencoder.inpaint(np.where(mask, np.nan, X), mask, max_iter=3000, tol=1e-7)
    assert_array_equal(filled[~mask], X[~mask])
    assert np.abs(filled - X)[mask].mean() < 0.05 * np.abs(X)[mask].mean()
    # Each row by itself, whatever the others need.
    alone = autoencoder.inpaint(X[:1], mask[:1], max_iter=3000, tol=1e-7)
    assert_allclose(alone, filled[:1], rtol=1e-10)


def test_inpainting_by_pca_is_least_squares():
    X = StandardScaler().fit_transform(load_wine().data)
    pca = PCA(3).fit(X)
    settings = {**LINEAR, "init": "pca", "max_iter": 1, "learning_rate": 1e-9}
    autoencoder = quick(Autoencoder, n_components=3, **settings).fit(X)
    mask = np.random.default_rng(0).random(X.shape) < 0.2
    filled = autoencoder.inpaint(X, mask, max_iter=10_000, tol=0)
    for row, gaps, x in zip(X, mask, filled, strict=True):
        basis = pca.components_[:, ~gaps].T
        code = np.linalg.lstsq(basis, (row - pca.mean_)[~gaps], rcond=None)[0]
        assert_allclose(x[gaps], (code @ pca.components_ + pca.mean_)[gaps], atol=1e-3)


@pytest.mark.parametrize("tol", [0, 0.05])
def test_inpainting_repeats_while_the_other_entries_are_rebuilt_better(table, tol):
    autoencoder = quick(Autoencoder, max_iter=20, loss="absolute_error").fit(table)
    X = table[:50]
    mask = np.random.default_rng(0).random(X.shape) < 0.3
    filled = autoencoder.inpaint(X, mask, fill_value=0.5, max_iter=7, tol=tol)
    n_rounds = []
    for row, gaps, found in zip(X, mask, filled, strict=True):
        expected, least, n = np.where(gaps, 0.5, row), np.inf, 0
        for n in range(8):
            rebuilt = autoencoder.reconstruct(expected[None])[0]
            error = np.abs(rebuilt - row)[~gaps].sum()
            if n == 7 or not gaps.any() or not error < least - tol * error:
                break
            expected, least = np.where(gaps, rebuilt, row), error
        assert_allclose(found, expected, rtol=1e-10)
        n_rounds.append(n)
    assert set(n_rounds) >= {1, 2, 3}  # the test sees rows that stop and some that go on


@pytest.mark.parametrize(
    ("estimator_class", "settings"),
    [
        (DenoisingAutoencoder, {"noise": "masking", "noise_level": 0.4, "n_components": 64}),
        (Autoencoder, {"n_components": 8}),
    ],
    ids=["masking", "plain"],
)
def test_more_rounds_of_inpainting_do_no_harm(digits, estimator_class, settings):
    train, X = digits[:1200], digits[1200:1350]
    layers = {"hidden_layers": (128,), "batch_size": 50, "max_iter": 60, "tol": 0}
    autoencoder = quick(estimator_class, **settings, **layers).fit(train)
    mask = np.zeros((len(X), 8, 8), dtype=bool)
    mask[:, 3:6, 2:6] = True
    mask = mask.reshape(X.shape)

    def error(filled):
        return np.abs(filled - X)[mask].mean()

    after, filled = [], np.where(mask, 0, X)
    for _ in range(30):
        filled = np.where(mask, autoencoder.reconstruct(filled), X)
        after.append(error(filled))
    assert after[-1] > 1.05 * min(after)  # where each row goes on, it ends worse
    found = error(autoencoder.inpaint(X, mask))
    assert found < 1.05 * min(after)
    assert found < 0.8 * error(np.where(mask, train.mean(axis=0), X))
    many = error(autoencoder.inpaint(X, mask, max_iter=1000, tol=0))
    assert many < 1.05 * min(after)


def test_inpainting_starts_from_a_value_for_each_feature(table):
    autoencoder = quick(Autoencoder).fit(table)
    means = table.mean(axis=0)
    mask = np.random.default_rng(0).random(table.shape) < 0.3
    mask[0] = True  # nothing to go by: the start is rebuilt
    filled = autoencoder.inpaint(table, mask, fill_value=means, max_iter=1)
    expected = np.where(mask, autoencoder.reconstruct(np.where(mask, means, table)), table)
    assert_allclose(filled, expected, rtol=1e-10)
    frame = pd.DataFrame(table, columns=list("abcde"))
    from_frame = clone(autoencoder).fit(frame).inpaint(frame, mask, fill_value=means)
    assert_allclose(from_frame[0], autoencoder.reconstruct(means[None])[0], rtol=1e-5)
    assert autoencoder.inpaint(table.astype(np.float32), mask).dtype == np.float32
    assert_array_equal(
        autoencoder.inpaint(table, mask, fill_value=means, max_iter=0)[mask],
        np.broadcast_to(means, table.shape)[mask],
    )
    for wrong in (means[:4], np.nan):
        with pytest.raises(ValueError, match=r"one for each feature in shape \(5,\), all finite"):
            autoencoder.inpaint(table, mask, fill_value=wrong)


def test_inpainting_takes_dataframes_and_refuses_another_mask(table):
    X = pd.DataFrame(table, columns=list("abcde"))
    autoencoder = quick(Autoencoder).fit(X)
    mask = np.zeros(X.shape, dtype=bool)
    mask[:, 2] = True
    from_frame = autoencoder.inpaint(X, mask)
    for same in (table, np.ma.MaskedArray(table, mask)):
        with pytest.warns(UserWarning, match="feature names"):
            assert_array_equal(from_frame, autoencoder.inpaint(same, mask))
    with pytest.raises(ValueError, match=r"mask has shape \(300,\).*\(300, 5\)"):
        autoencoder.inpaint(X, mask[:, 0])
    with pytest.raises(TypeError, match=r"dense rows.*sparse matrix; give X.toarray"):
        autoencoder.inpaint(sparse.csr_matrix(table), mask)


@pytest.mark.parametrize(
    "hidden_layers",
    [(), (12,), Dense((9,), activation="identity"), Dense((10,), tied_weights=True)],
    ids=str,
)
@pytest.mark.parametrize(
    ("estimator_class", "container"),
    [
        (Autoencoder, np.asarray),
        (Autoencoder, sparse.csr_matrix),
        (DenoisingAutoencoder, np.asarray),
        (ContractiveAutoencoder, np.asarray),
    ],
)
def test_start_from_pca_is_pca(table, hidden_layers, estimator_class, container):
    settings = {"hidden_layers": hidden_layers, "init": "pca", "learning_rate": 1e-30}
    autoencoder = quick(estimator_class, n_components=4, **settings).fit(container(table))
    pca = PCA(4).fit(table)
    codes = autoencoder.transform(table)
    assert_allclose(np.abs(codes), np.abs(pca.transform(table)), rtol=1e-3, atol=1e-4)
    rebuilt = pca.inverse_transform(pca.transform(table))
    assert_allclose(autoencoder.reconstruct(table), rebuilt, rtol=1e-3, atol=1e-4)
    assert autoencoder.r2_pca_ == pytest.approx(pca.explained_variance_ratio_.sum(), abs=1e-4)
    assert autoencoder.r2_ == pytest.approx(autoencoder.r2_pca_, abs=1e-4)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
def test_start_from_pca_counts_rows_by_their_weight(container):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 5)) * [3, 2, 1, 1, 1] + np.arange(5)
    weight = rng.integers(1, 9, 30)
    settings = {"init": "pca", "hidden_layers": (), "learning_rate": 1e-30, "n_components": 2}
    weighted = quick(Autoencoder, **settings).fit(container(X), sample_weight=0.1 * weight)
    repeated = X.repeat(weight, axis=0)
    pca = PCA(2).fit(repeated)
    rebuilt = pca.inverse_transform(pca.transform(X))
    assert_allclose(weighted.reconstruct(X), rebuilt, rtol=1e-3, atol=1e-4)
    assert weighted.r2_pca_ == pytest.approx(pca.explained_variance_ratio_.sum(), abs=1e-5)
    # The rows given several times, in one batch, are as many.
    several = quick(Autoencoder, batch_size=1000, **settings).fit(repeated)
    assert several.r2_pca_ == pytest.approx(pca.explained_variance_ratio_.sum(), abs=1e-5)


def test_a_warm_start_keeps_what_pca_keeps_and_measures_again(digits):
    settings = {"n_components": 8, "init": "pca", "warm_start": True}
    autoencoder = quick(Autoencoder, **settings).fit(digits)
    r2, r2_pca = autoencoder.r2_, autoencoder.r2_pca_
    autoencoder.fit(digits)
    assert autoencoder.r2_pca_ == r2_pca
    assert autoencoder.r2_ > r2


def test_a_network_started_from_pca_keeps_more_than_pca(digits):
    autoencoder = quick(
        Autoencoder, n_components=8, hidden_layers=(64,), init="pca", max_iter=60
    ).fit(digits)
    pca = PCA(8).fit(digits)
    assert autoencoder.r2_pca_ == pytest.approx(pca.explained_variance_ratio_.sum(), abs=1e-4)
    residual = ((digits - autoencoder.reconstruct(digits)) ** 2).sum()
    variance = digits.var(axis=0, dtype=np.float64).sum() * len(digits)
    assert autoencoder.r2_ == pytest.approx(1 - residual / variance, abs=1e-5)
    assert autoencoder.r2_ > autoencoder.r2_pca_ + 0.05
    # Nothing of it is left after a fit without.
    autoencoder.set_params(init="glorot").fit(digits)
    assert not hasattr(autoencoder, "r2_")
    assert not hasattr(autoencoder, "r2_pca_")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layers": (20, 20)}, "at most one hidden layer"),
        ({"hidden_layers": (5,)}, "at least 2 [*] n_components"),
        ({"hidden_layers": Dense((20,), activation="tanh")}, "can be PCA"),
        ({"hidden_layers": Dense((20,), dropout=0.5)}, "can be PCA"),
        ({"hidden_layers": Dense((20,), non_negative=True)}, "can be PCA"),
        ({"code_activation": "relu"}, "code_activation='identity'"),
        ({"loss": "binary_cross_entropy"}, "which 'binary_cross_entropy' does not"),
        ({"n_components": 6, "hidden_layers": ()}, "at most min.*=5, got 6"),
        ({"pretrain": True}, "pretrain=True and init='pca' are two starts"),
    ],
    ids=str,
)
def test_networks_that_cannot_start_from_pca(table, parameters, message):
    settings = {"n_components": 3, "hidden_layers": (20,), "init": "pca"} | parameters
    with pytest.raises(ValueError, match=message):
        quick(Autoencoder, **settings).fit(table)


@pytest.mark.parametrize("estimator_class", [Autoencoder, DenoisingAutoencoder])
def test_explained_reconstruction_ratio_is_the_curve_of_truncate(digits, estimator_class):
    autoencoder = quick(estimator_class, n_components=6, ordered=True, max_iter=40).fit(digits)
    curve = autoencoder.explained_reconstruction_ratio_
    variance = digits.var(axis=0, dtype=np.float64).mean()
    for k in (1, 3, 6):
        ratio = 1 - -autoencoder.truncate(k).score(digits) / variance
        assert curve[k - 1] == pytest.approx(ratio, abs=1e-5)
    assert (np.diff(curve) > 0).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 3e5])
def test_nothing_is_kept_of_the_variance_of_equal_rows(value):
    settings = {"n_components": 2, "ordered": True, "init": "pca", "hidden_layers": ()}
    autoencoder = quick(Autoencoder, **settings).fit(np.full((150, 3), value))
    assert_array_equal(autoencoder.explained_reconstruction_ratio_, [0, 0])
    assert autoencoder.r2_ == autoencoder.r2_pca_ == 0


def test_pretrained_layers_start_deep_networks_ahead(digits):
    deep = {"hidden_layers": Dense((48, 40), activation="sigmoid"), "n_components": 8}
    start = quick(Autoencoder, **deep, max_iter=30, pretrain=True, tol=0)
    first_epoch = start.fit(digits).loss_curve_[0]
    plain = quick(Autoencoder, **deep, max_iter=30, tol=0).fit(digits)
    assert first_epoch < plain.loss_curve_[0]
    assert start.loss_curve_[-1] < plain.loss_curve_[-1]
    again = clone(start).fit(digits)
    assert_array_equal(again.transform(digits), start.transform(digits))


class Notes(Callback):
    """Notes the kind of each network, and its weights before and after its training."""

    trainings: ClassVar[list[dict]] = []

    def on_train_begin(self, net, X=None, **_):
        self.trainings.append({"kind": type(net.module_), "n_features": X.n_features})
        self.trainings[-1]["begin"] = weights_of(net.module_)

    def on_train_end(self, net, **_):
        self.trainings[-1]["end"] = weights_of(net.module_)


def weights_of(module):
    return [p.detach().clone() for name, p in module.named_parameters() if "weight" in name]


@pytest.mark.parametrize("estimator_class", ALL)
def test_pretrained_weights_are_those_of_single_layers(digits, estimator_class, monkeypatch):
    monkeypatch.setattr(Notes, "trainings", [])
    monkeypatch.setattr(estimator_class, "_callbacks", lambda *_: [Notes()])
    quick(estimator_class, n_components=8, hidden_layers=(20,), pretrain=True).fit(digits)
    first, second, deep = Notes.trainings
    assert [note["n_features"] for note in Notes.trainings] == [64, 20, 64]
    assert first["kind"] is second["kind"] is deep["kind"]
    (encode, decode), (encode_code, decode_code) = first["end"], second["end"]
    expected = [encode, encode_code, decode_code, decode]
    assert all(map(torch.equal, deep["begin"], expected))
    assert not torch.equal(first["begin"][0], encode)  # it was trained


def test_a_layer_that_cannot_be_pretrained_is_named(digits):
    settings = dict(hidden_layers=(20,), n_components=30, pretrain=True)
    with pytest.raises(ValueError, match=r"trains layer 1.*n_components=20.*sparsity='k'.*k=25"):
        quick(SparseAutoencoder, sparsity="k", **settings).fit(digits)
    settings |= dict(sparsity="kl", code_activation="sigmoid")
    with pytest.raises(ValueError, match=r"trains layer 1.*code_activation='relu'.*sparsity='kl'"):
        quick(SparseAutoencoder, **settings).fit(digits)


@pytest.mark.parametrize("option", ["dropout", "batch_norm", "tied_weights", "non_negative"])
def test_layers_that_cannot_be_pretrained(table, option):
    layers = Dense((8,), **{option: 0.5 if option == "dropout" else True})
    with pytest.raises(ValueError, match="pretrain=True needs"):
        quick(Autoencoder, hidden_layers=layers, pretrain=True).fit(table)


@pytest.mark.parametrize(
    ("estimator_class", "option"),
    [
        (SparseAutoencoder, {"ordered": True}),
        (SparseAutoencoder, {"init": "pca"}),
        (ContractiveAutoencoder, {"ordered": True}),
    ],
)
def test_options_that_an_objective_cannot_use_are_no_parameters(estimator_class, option):
    (name,) = option
    with pytest.raises(TypeError, match=rf"{estimator_class.__name__}.*argument '{name}'"):
        estimator_class(**option)
    with pytest.raises(ValueError, match=f"Invalid parameter '{name}'"):
        estimator_class().set_params(**option)
    assert not hasattr(estimator_class, "truncate")
