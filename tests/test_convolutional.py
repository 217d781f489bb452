"""Convolutional layers, and samples that are signals or images."""

import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import has, public_estimators, quick
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from torch import nn

from skae import Autoencoder, DenoisingAutoencoder
from skae.autoencoders import BaseAutoencoder
from skae.layers import BatchNorm, Conv1d, Conv2d

SMALL = Conv2d((1, 8, 8), channels=(4, 8))


@pytest.fixture(scope="module")
def images(digits):
    return digits[:250].reshape(-1, 8, 8)


@pytest.fixture(scope="module")
def fitted(images):
    return quick(Autoencoder, n_components=6, hidden_layers=SMALL).fit(images)


def weight_shapes(module):
    return [tuple(p.shape) for p in module.parameters() if p.ndim > 1]


# -- the architecture --------------------------------------------------------------------


@pytest.mark.parametrize("kernel_size", [2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_decoder_mirrors_every_size(kernel_size, stride):
    if stride > kernel_size:
        pytest.skip("refused, see test_bad_layers_are_named")
    for height in range(5, 14):
        for width in range(5, 14):
            layers = Conv2d((2, height, width), (3, 4), kernel_size=kernel_size, stride=stride)
            n_features = 2 * height * width
            encoder = layers.make_encoder(n_features, 7)
            decoder = layers.make_decoder(n_features, 7, encoder)
            codes = encoder.to("meta")(torch.rand(2, n_features, device="meta"))  # shapes alone
            assert codes.shape == (2, 7)
            assert decoder.to("meta")(codes).shape == (2, n_features)
            down, up = weight_shapes(encoder), weight_shapes(decoder)
            assert down[:-1] == up[:0:-1]
            assert down[-1] == up[0][::-1]


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
def test_every_entry_is_seen_and_rebuilt(kernel_size):
    for stride in range(1, kernel_size + 1):
        for length in range(kernel_size, 14):
            layers = Conv1d(
                (1, length), (2,), kernel_size=kernel_size, stride=stride, activation="identity"
            )
            encoder = layers.make_encoder(length, 3)
            decoder = layers.make_decoder(length, 3, encoder)
            seen = torch.autograd.functional.jacobian(encoder, torch.rand(1, length))
            rebuilt = torch.autograd.functional.jacobian(decoder, torch.rand(1, 3))
            assert (seen.abs().sum((0, 1, 2)) > 0).all()
            assert (rebuilt.abs().sum((2, 3)) > 0).all()


@pytest.mark.parametrize(
    ("layers", "convolve"),
    [
        (Conv1d((3, 11), (4, 5), kernel_size=5, activation="tanh"), F.conv1d),
        (Conv2d((3, 9, 7), (4, 5), kernel_size=5, activation="tanh"), F.conv2d),
    ],
    ids=["signals", "images"],
)
def test_encoder_is_a_chain_of_convolutions(layers, convolve):
    n_features = int(np.prod(layers.shape))
    encoder = layers.make_encoder(n_features, 2)
    rows = torch.rand(6, n_features)
    first, first_bias, second, second_bias, last, last_bias = encoder.parameters()
    hidden = rows.view(6, *layers.shape)
    hidden = convolve(hidden, first, first_bias, stride=2, padding=2).tanh()
    hidden = convolve(hidden, second, second_bias, stride=2, padding=2).tanh()
    assert_allclose(
        encoder(rows).detach(), (hidden.flatten(1) @ last.T + last_bias).detach(), atol=1e-6
    )


def test_code_shifts_with_the_image():
    # One convolution of stride 1, away from the borders: its weights are shared.
    layers = Conv2d((1, 9, 9), (3,), kernel_size=3, stride=1)
    convolutions = layers.make_encoder(81, 2)[:3]
    image = torch.zeros(1, 1, 9, 9)
    image[..., 2:5, 2:5] = torch.rand(3, 3)
    maps = convolutions(image.flatten(1))
    shifted = convolutions(image.roll((2, 1), (2, 3)).flatten(1))
    assert_allclose(shifted.detach(), maps.roll((2, 1), (2, 3)).detach(), atol=1e-6)


def test_layers_are_scikit_learn_parameter_objects():
    layers = Conv2d((1, 8, 8), channels=(8,), dropout=0.5)
    copy = clone(layers)
    assert copy is not layers
    assert copy.get_params() == layers.get_params()
    assert repr(layers) == "Conv2d(channels=(8,), dropout=0.5, shape=(1, 8, 8))"
    assert set(Conv1d((1, 8)).get_params()) == set(layers.get_params())


def test_batch_norm_takes_one_image_by_its_running_statistics():
    norm = BatchNorm(3).train()
    norm(torch.randn(20, 3, 4, 4) * 5 + 2)
    before = norm.running_mean.clone()
    image = torch.rand(1, 3, 4, 4)
    in_training = norm(image)
    assert torch.equal(norm.running_mean, before)
    assert torch.equal(in_training, norm.eval()(image))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (Conv2d((1, 28, 28)), r"\(1, 28, 28\) takes samples of 784 features, but X has 64; set sh"),
        (Conv1d((2, 64)), r"takes samples of 128 features, but X has 64.*\(channels, length\)"),
        (Conv2d((8, 8)), r"shape of Conv2d must be \(channels, height, width\).*got \(8, 8\)"),
        (Conv1d((1, 8, 8)), r"shape of Conv1d must be \(channels, length\), 2 positive"),
        (Conv2d((1, 8, -8)), r"shape of Conv2d must be"),
        (Conv2d((1, 8, 8.0)), r"shape of Conv2d must be"),
        (Conv2d(64), r"'shape' parameter of Conv2d"),
        (Conv2d((1, 8, 8), channels=()), r"channels of Conv2d must be one or more positive"),
        (Conv2d((1, 8, 8), channels=(8, 0)), r"channels of Conv2d.*got \(8, 0\)"),
        (Conv2d((1, 8, 8), channels=(8.5,)), r"channels of Conv2d"),
        (Conv2d((1, 8, 8), channels=8), r"'channels' parameter of Conv2d"),
        (Conv2d((1, 8, 8), kernel_size=9), r"kernel_size=9.*height x width is 8 x 8.*at most 8"),
        (Conv1d((16, 4), kernel_size=5), r"kernel_size=5.*length is 4; set kernel_size to at most"),
        (Conv2d((1, 8, 8), kernel_size=0), r"'kernel_size' parameter of Conv2d"),
        (Conv2d((1, 8, 8), kernel_size=2, stride=3), r"stride=3.*larger than kernel_size=2"),
        (Conv2d((1, 8, 8), stride=0), r"'stride' parameter of Conv2d"),
        (Conv2d((1, 8, 8), activation="cube"), r"'activation' parameter of Conv2d.*'relu'"),
        (Conv2d((1, 8, 8), dropout=1.0), r"'dropout' parameter of Conv2d"),
        (Conv2d((1, 8, 8), batch_norm="yes"), r"'batch_norm' parameter of Conv2d"),
    ],
    ids=repr,
)
def test_bad_layers_are_named(digits, layers, message):
    with pytest.raises(ValueError, match=message):
        quick(Autoencoder, hidden_layers=layers).fit(digits[:20])


# -- estimators with it ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learner_class", "batch_norm"),
    [
        *(
            (one, False)
            for one in public_estimators()
            # A variational one begins by ignoring the rows; a dictionary has no such layers.
            if issubclass(one, BaseAutoencoder)
            and has(one, "hidden_layers")
            and not has(one, "beta")
        ),
        (Autoencoder, True),
    ],
)
def test_digits_are_rebuilt_better_than_by_their_mean(digits, learner_class, batch_norm):
    layers = Conv2d((1, 8, 8), channels=(8, 16), batch_norm=batch_norm)
    learner = quick(
        learner_class,
        n_components=16,
        hidden_layers=layers,
        max_iter=15,
        learning_rate=5e-3,
        batch_size=50,
    )
    train, test = digits[:1000], digits[1000:]
    learner.fit(train)
    assert learner.loss_curve_[-1] < learner.loss_curve_[0]
    error = ((learner.reconstruct(test) - test) ** 2).mean()
    assert error < 0.5 * ((test - train.mean(axis=0)) ** 2).mean()


def test_signals_are_rebuilt_better_than_by_their_mean():
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 6, size=(300, 1, 1))
    X = np.sin(phase + np.linspace(0, 6, 33) * np.array([[[1.0], [2.0]]]))
    layers = Conv1d((2, 33), channels=(8, 16), kernel_size=5)
    learner = Autoencoder(
        4, hidden_layers=layers, max_iter=60, learning_rate=5e-3, random_state=0
    ).fit(X)
    assert learner.reconstruct(X).shape == X.shape
    assert learner.reconstruction_error(X).mean() < 0.2 * X.var()


def test_stochastic_layers_give_the_same_bits(images, autoencoder_class):
    layers = Conv2d((1, 8, 8), channels=(4, 8), batch_norm=True, dropout=0.2)
    estimator = quick(autoencoder_class, n_components=4, hidden_layers=layers, batch_size=50)
    codes = estimator.fit_transform(images)
    assert_array_equal(clone(estimator).fit_transform(images), codes)
    assert_array_equal(pickle.loads(pickle.dumps(estimator)).transform(images), codes)


def test_any_number_of_images(images, autoencoder_class):
    layers = Conv2d((1, 8, 8), channels=(4,), batch_norm=True)
    learner = quick(autoencoder_class, n_components=3, hidden_layers=layers)
    for chunk in np.split(images[:12], [1, 4]):
        learner.partial_fit(chunk)
    assert np.isfinite(learner.transform(images[:1])).all()
    assert np.isfinite(learner.fit(images[:1]).transform(images)).all()


def test_csr_rows_give_the_bits_of_dense_ones(digits):
    X = digits[:250]
    estimator = quick(Autoencoder, n_components=4, hidden_layers=SMALL, batch_size=50)
    dense = clone(estimator).fit(X)
    csr = clone(estimator).fit(sparse.csr_matrix(X))
    assert_array_equal(csr.transform(sparse.csr_matrix(X)), dense.transform(X))
    assert csr.reconstruct(sparse.csr_matrix(X)).shape == X.shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_codes_do_not_depend_on_the_other_images(fitted, images, dtype):
    X = images.astype(dtype)
    codes = fitted.transform(X)
    assert codes.dtype == dtype
    alone = np.concatenate([fitted.transform(image[None]) for image in X[:20]])
    assert_allclose(alone, codes[:20], rtol=1e-5, atol=1e-5)


def test_search_reaches_the_layers(images):
    learner = quick(DenoisingAutoencoder, n_components=4, max_iter=2, hidden_layers=SMALL)
    grid = {"hidden_layers__kernel_size": [3, 5], "hidden_layers__channels": [(2,), (4, 4)]}
    search = GridSearchCV(learner, grid, cv=2).fit(images)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.module_.encoder[1].kernel_size[0] in (3, 5)


def test_flat_rows_go_through_a_pipeline(digits):
    pipeline = make_pipeline(
        MinMaxScaler(), quick(Autoencoder, n_components=4, hidden_layers=SMALL)
    )
    assert pipeline.fit_transform(digits[:100]).shape == (100, 4)


# -- samples in their shape --------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8)])
@pytest.mark.parametrize(
    "kind", [np.asarray, torch.tensor, np.ndarray.tolist], ids=["array", "tensor", "list"]
)
def test_images_and_flat_rows_give_the_same_bits(digits, shape, kind):
    flat, X = digits[:60], kind(digits[:60].reshape(-1, *shape))
    estimator = quick(DenoisingAutoencoder, n_components=4, hidden_layers=SMALL, batch_size=25)
    by_row = clone(estimator).fit(flat, X_val=flat[:9])
    by_image = clone(estimator).fit(X, X_val=X[:9])
    assert by_image.n_features_in_ == 64
    if kind is np.ndarray.tolist:  # of float64
        flat = flat.astype(np.float64)
    codes = by_row.transform(flat)
    assert_array_equal(by_image.transform(X), codes)
    assert_array_equal(by_row.transform(X), codes)
    assert_array_equal(by_image.score_samples(X), by_row.score_samples(flat))
    assert_array_equal(by_image.reconstruction_error(X), by_row.reconstruction_error(flat))
    for read in (
        lambda learner, rows: learner.reconstruct(rows),
        lambda learner, rows: learner.reconstruction_error(rows, per_feature=True),
        lambda learner, rows: learner.corrupt(rows, random_state=0),
    ):
        expected = read(by_row, flat)
        assert expected.shape == (60, 64)
        assert_array_equal(read(by_image, X), expected.reshape(60, *shape))
        assert_array_equal(read(by_image, flat), expected)
    decoded = by_row.inverse_transform(codes)
    assert decoded.shape == (60, 64)
    assert_array_equal(by_image.inverse_transform(codes), decoded.reshape(60, *shape))
    by_row.partial_fit(flat)
    by_image.partial_fit(X)
    assert_array_equal(by_image.transform(X), by_row.transform(flat))


def test_colour_images_keep_their_axes():
    X = np.random.default_rng(0).random((20, 3, 6, 5), dtype=np.float32)
    learner = quick(Autoencoder, n_components=4, hidden_layers=Conv2d((3, 6, 5), (4,)))
    assert learner.fit(X).reconstruct(X).shape == X.shape
    with pytest.raises(ValueError, match=r"shape \(6, 5\), but .* of shape \(3, 6, 5\), or rows o"):
        learner.transform(X[:, 0])


@pytest.mark.parametrize("method", ["fit", "partial_fit", "transform", "score_samples"])
def test_wrong_shape_is_named(fitted, images, method):
    expected = r"X has samples of shape \(8, 7\), but the layers of Autoencoder take samples of "
    expected += r"shape \(1, 8, 8\) or \(8, 8\), or rows of 64 features"
    with pytest.raises(ValueError, match=expected):
        getattr(fitted, method)(images[:, :, 1:])
    assert fitted.transform(images).shape == (250, 6)  # as it was


def test_wrong_shape_of_validation_images_is_named(images):
    with pytest.raises(ValueError, match=r"X_val has samples of shape \(7, 8\)"):
        quick(Autoencoder, hidden_layers=SMALL).fit(images, X_val=images[:, 1:])


def test_bad_values_of_images_are_named(images):
    bad = images.copy()
    bad[3, 2, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        quick(Autoencoder, hidden_layers=SMALL).fit(bad)
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        quick(Autoencoder, hidden_layers=SMALL).fit(images[:0])


def test_reading_knows_the_shape_of_the_fitted_layers(fitted, images):
    changed = pickle.loads(pickle.dumps(fitted)).set_params(hidden_layers=(5,))
    assert_array_equal(changed.transform(images), fitted.transform(images))
    assert_array_equal(changed.reconstruct(images), fitted.reconstruct(images))
    with pytest.raises(ValueError, match=r"dim 3|3D array"):
        changed.fit(images)


def test_own_layers_may_have_a_shape(images):
    class Own:
        shape = (8, 8)

        def make_encoder(self, n_features, n_components):
            return nn.Linear(n_features, n_components)

        def make_decoder(self, n_features, n_components, encoder):
            return nn.Linear(n_components, n_features)

    learner = quick(Autoencoder, n_components=4, hidden_layers=Own()).fit(images)
    assert learner.reconstruct(images).shape == images.shape


def test_images_in_a_memory_map_are_not_copied(images, tmp_path, monkeypatch):
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    seen = []
    monkeypatch.setattr(Autoencoder, "_check_values", lambda self, X: seen.append(X))
    quick(Autoencoder, n_components=4, hidden_layers=SMALL).fit(mapped)
    assert np.shares_memory(seen[0], mapped)
