"""The plain autoencoder against theory and twins."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from torch import nn

from skae import Autoencoder
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


def test_overcomplete_code_learns_the_identity(table):
    autoencoder = quick(
        Autoencoder, n_components=9, hidden_layers=(), learning_rate=1e-2, max_iter=500, tol=0
    ).fit(table)
    assert -autoencoder.score(table) < 1e-3 * table.var()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_fit_equals_a_plain_torch_loop(digits, weight_decay):
    X = digits[:100]  # one batch: the order of the rows does not matter
    settings = {"hidden_layers": (20,), "n_components": 6, "weight_decay": weight_decay}
    start = quick(Autoencoder, **settings, max_iter=1, learning_rate=1e-30).fit(X).module_
    net = nn.Sequential(*start.encoder, *start.decoder).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    x = torch.from_numpy(np.unique(X, axis=0))
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        penalty = sum((p**2).sum() for name, p in net.named_parameters() if "weight" in name)
        loss = F.mse_loss(net(x), x) + weight_decay / 2 * penalty
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


def test_code_activation(table):
    for activation, low, high in [("relu", 0, np.inf), ("sigmoid", 0, 1), ("tanh", -1, 1)]:
        codes = quick(Autoencoder, code_activation=activation).fit_transform(table)
        assert codes.min() >= low
        assert codes.max() <= high


def test_binary_cross_entropy_warns_outside_zero_and_one(table):
    with pytest.warns(UserWarning, match="MinMaxScaler"):
        quick(Autoencoder, loss="binary_cross_entropy").fit(table)


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
