"""The winner-take-all autoencoder: its winners, its pooled codes, and layers on layers."""

import pickle

import numpy as np
import pytest
import torch
from conftest import quick
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skae import SparseAutoencoder, WinnerTakeAllAutoencoder, fit_many
from skae._training import Batch
from skae.autoencoders._winners import lifetime_threshold, winners_of
from skae.layers import Conv1d, Conv2d, Dense
from skae.model_selection import BatchedGridSearchCV

IMAGES = Conv2d((1, 8, 8), channels=(4,), stride=1)
SIGNALS = Conv1d((2, 20), channels=(4,), kernel_size=5, stride=1)


def learner(layers=IMAGES, **parameters):
    """Return one of six maps that fits in a moment."""
    settings = {"n_components": 6, "hidden_layers": layers, "max_iter": 2, "tol": 0}
    return quick(WinnerTakeAllAutoencoder, **{**settings, **parameters})


@pytest.fixture(scope="module")
def images():
    return (load_digits().images[:60] / 16).astype(np.float32)


@pytest.fixture(scope="module")
def signals():
    return np.random.default_rng(0).normal(size=(50, 2, 20)).cumsum(axis=2).astype(np.float32)


# -- winners ---------------------------------------------------------------------------


def winners_by_enumeration(maps, n_rows):
    """Return maps of shape (n, n_maps, n_entries) with the winners of `n_rows` rows alone."""
    kept = np.zeros_like(maps)
    for j in range(maps.shape[1]):
        best = sorted(range(len(maps)), key=lambda i: -maps[i, j].max())
        for i in best[:n_rows]:
            place = int(np.argmax(maps[i, j]))
            kept[i, j, place] = maps[i, j, place]
    return kept


@pytest.mark.parametrize(("fraction", "n_rows"), [(0.1, 6), (0.11, 7), (1e-6, 1), (1.0, 60)])
def test_a_map_keeps_one_winner_in_a_fraction_of_the_rows(images, fraction, n_rows, monkeypatch):
    module = learner(lifetime_fraction=fraction).fit(images).module_
    module.code_activation = torch.nn.Identity()  # no ties at 0
    x = torch.from_numpy(images.reshape(60, 64))
    decoded = []
    monkeypatch.setattr(
        module, "decoding_loss", lambda code, x, noise: decoded.append(code) or code.sum()
    )
    module.loss(Batch(x), None)
    maps = module.encoder(x).detach().numpy().reshape(60, 6, 64)
    (code,) = decoded
    assert_array_equal(
        code.detach().numpy().reshape(60, 6, 64), winners_by_enumeration(maps, n_rows)
    )


def test_the_loss_is_the_error_of_what_the_winners_make(images):
    module = learner().fit(images).module_
    x = torch.from_numpy(images.reshape(60, 64))
    maps = module.full_code(x).detach().numpy().reshape(60, 6, 64)
    kept = torch.from_numpy(winners_by_enumeration(maps, 12))  # 0.2 of 60
    rebuilt = module.decoder(kept.reshape(60, 6, 8, 8))
    assert_allclose(
        module.loss(Batch(x), None).detach(), (rebuilt - x).square().mean(1).detach(), rtol=1e-5
    )


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.7, 1.0])
def test_a_weight_counts_as_so_many_rows(fraction):
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(size=(20, 3)))
    weight = torch.from_numpy(rng.integers(1, 5, 20))
    repeated = values.repeat_interleave(weight, dim=0)
    expected = lifetime_threshold(repeated, fraction, None)
    assert_array_equal(lifetime_threshold(values, fraction, weight.double()), expected)


def test_winners_of_equal_entries_are_one():
    values, positions = winners_of(torch.ones(2, 3, 4))
    assert values.shape == positions.shape == (2, 3)


def test_units_of_dense_layers_are_the_lifetime_sparsity_of_the_sparse_autoencoder(digits):
    settings = dict(
        n_components=20, hidden_layers=(), lifetime_fraction=0.1, random_state=0, batch_size=50
    )
    settings |= dict(max_iter=3, tol=0)
    winners = WinnerTakeAllAutoencoder(**settings).fit(digits[:500])
    sparse = SparseAutoencoder(sparsity="lifetime", **settings).fit(digits[:500])
    assert_allclose(winners.transform(digits), sparse.transform(digits), rtol=1e-4, atol=1e-5)
    assert_allclose(winners.loss_curve_, sparse.loss_curve_, rtol=1e-5)


# -- inference -------------------------------------------------------------------------


def test_rows_are_rebuilt_from_the_winners_that_reach_the_threshold(images):
    fitted = learner(max_iter=20, learning_rate=1e-2).fit(images)
    maps = fitted.transform(images).reshape(60, 6, 64)
    assert (np.count_nonzero(maps, axis=2) > 1).any()  # without sparsity
    kept = np.zeros_like(maps)
    threshold = fitted.thresholds_
    assert (threshold > 0).any()
    for i, j in np.ndindex(60, 6):
        place = maps[i, j].argmax()
        if maps[i, j, place] >= threshold[j]:
            kept[i, j, place] = maps[i, j, place]
    # Each adds its piece, whose middle is where it is.
    bias = fitted.module_.decoder[0].bias.item()
    expected = np.full((60, 12, 12), bias)  # with margins of 2
    for i, j, place in np.argwhere(kept):
        row, column = divmod(place, 8)
        window = slice(row, row + 5), slice(column, column + 5)
        expected[i][window] += kept[i, j, place] * fitted.components_[j, 0]
    rebuilt = expected[:, 2:-2, 2:-2]
    assert_allclose(fitted.reconstruct(images), rebuilt, atol=1e-5)
    assert_allclose(fitted.inverse_transform(fitted.transform(images)), rebuilt, atol=1e-5)
    errors = np.square(images - rebuilt).mean(axis=(1, 2))
    assert_allclose(fitted.score_samples(images), -errors, rtol=1e-4)


def test_the_threshold_keeps_about_the_fraction_of_training(digits):
    fitted = learner((), lifetime_fraction=0.2, max_iter=30, batch_size=100).fit(digits)
    shares = (fitted.transform(digits) >= fitted.thresholds_).mean(axis=0)
    assert_allclose(shares, 0.2, atol=0.05)


def test_the_first_batch_sets_the_threshold(images):
    module = learner(learning_rate=1e-12).partial_fit(images[:10]).module_
    maps = module.full_code(torch.from_numpy(images[:10].reshape(10, 64))).reshape(10, 6, 64)
    assert_allclose(module.threshold, maps.amax(2).sort(0).values[-2].detach(), rtol=1e-5)


# -- pooled codes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "stride", "side"), [(3, None, 3), (3, 2, 4), (2, 1, 7), (8, None, 1), (5, 3, 2)]
)
def test_pooled_codes_are_the_maxima_of_windows(images, size, stride, side):
    fitted = learner(pool_size=size, pool_stride=stride).fit(images)
    maps = fitted.module_.full_code(torch.from_numpy(images.reshape(60, 64)))
    maps = maps.detach().numpy().reshape(60, 6, 8, 8)
    step = stride or size
    codes = fitted.transform(images)
    assert fitted.code_shape_ == (6, side, side)
    expected = [
        maps[:, :, i : i + size, j : j + size].max(axis=(2, 3))
        for i in range(0, step * side, step)
        for j in range(0, step * side, step)
    ]
    assert_array_equal(codes.reshape(60, 6, -1), np.stack(expected, axis=2))
    assert len(fitted.get_feature_names_out()) == codes.shape[1] == 6 * side**2


def test_pooling_changes_no_training(images):
    plain, pooled = (learner(pool_size=size).fit(images) for size in (None, 4))
    assert plain.loss_curve_ == pooled.loss_curve_
    assert_array_equal(plain.score_samples(images), pooled.score_samples(images))
    assert_array_equal(plain.reconstruct(images), pooled.reconstruct(images))


def test_winners_of_pooled_codes_are_in_the_middle_of_their_windows(images):
    fitted = learner(pool_size=3, pool_stride=3).fit(images)
    codes = np.zeros((3, 6, 3, 3), dtype=np.float32)
    codes[0, 2, 0, 0] = codes[1, 2, 1, 2] = 100.0  # the last window has two columns
    module = fitted.module_
    maps = torch.zeros(3, 6, 8, 8)
    maps[0, 2, 1, 1] = maps[1, 2, 4, 6] = 100.0
    with torch.no_grad():
        expected = module.decoder(maps).reshape(3, 8, 8)
    assert_allclose(fitted.inverse_transform(codes.reshape(3, 54)), expected, rtol=1e-5)


@pytest.mark.parametrize("size", ["global", 20])
def test_codes_pooled_over_time_do_not_change_with_a_shift(signals, size):
    fitted = learner(SIGNALS, pool_size=size).fit(signals)
    assert fitted.code_shape_ == (6, 1)
    pulse = np.zeros((1, 2, 20), dtype=np.float32)
    pulse[:, :, 6:9] = [[1.0, 3.0, -2.0], [0.5, -1.0, 2.0]]
    shifted = np.roll(pulse, 4, axis=2)
    assert_allclose(fitted.transform(shifted), fitted.transform(pulse), rtol=1e-5)
    assert not np.allclose(*(learner(SIGNALS).fit(signals).transform(x) for x in (pulse, shifted)))


# -- layers ----------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel_size", [3, 4, 5])
@pytest.mark.parametrize("channels", [(), (2,), (3, 2)])
def test_a_piece_covers_what_its_entry_sees(channels, kernel_size, stride):
    layers = Conv1d(
        (1, 23), channels, kernel_size=kernel_size, stride=stride, activation="identity"
    )
    encoder, decoder = layers.make_map_encoder(23, 1), layers.make_map_decoder(23, 1)
    for layer in (*encoder.modules(), *decoder.modules()):
        if hasattr(layer, "weight"):
            torch.nn.init.ones_(layer.weight)
    seen = torch.stack([encoder(row[None]).flatten() for row in torch.eye(23)]) != 0
    made = torch.stack([decoder(row[None, None])[0] for row in torch.eye(seen.shape[1])]) != 0
    assert layers.map_shape(23, 1) == (seen.shape[1],)
    assert torch.equal(seen.T, made)


@pytest.mark.parametrize("size", [3, 7, 11])
def test_a_piece_of_another_length_has_the_same_middle(size):
    layers = Conv2d((1, 9, 9), (2,), stride=1)
    decoder = layers.make_map_decoder(81, 1, size)
    torch.nn.init.ones_(decoder[0].weight)
    maps = torch.zeros(1, 1, 9, 9)
    maps[0, 0, 4, 4] = 1
    made = decoder(maps).reshape(9, 9).detach().numpy() != 0
    half = min(size // 2, 4)
    expected = np.zeros((9, 9), dtype=bool)
    expected[4 - half : 5 + half, 4 - half : 5 + half] = True
    assert_array_equal(made, expected)


@pytest.mark.parametrize(
    ("layers", "parameters", "message"),
    [
        ((), {"pool_size": 2}, "pool_size=2 is for the feature maps"),
        (Dense((4,)), {"decoder_kernel_size": 5}, "decoder_kernel_size=5 is for the feature maps"),
        (IMAGES, {"pool_size": 9}, "pool_size=9 is larger than a feature map"),
        (IMAGES, {"pool_size": 2, "pool_stride": 3}, "pool_stride=3 is larger than pool_size=2"),
        (IMAGES, {"pool_stride": 3}, "pool_stride=3 is the step between windows of pool_size"),
        (Conv2d((1, 8, 8), stride=2), {"decoder_kernel_size": 3}, "raise it"),
        (IMAGES, {"pool_size": 0}, "'pool_size' parameter"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_named(digits, layers, parameters, message):
    estimator = learner(layers, **parameters)
    with pytest.raises(ValueError, match=message):
        estimator.fit(digits)
    assert not hasattr(estimator, "module_")


def test_components_of_units_are_the_weights_of_the_decoder(table):
    fitted = learner(()).fit(table)
    assert_allclose(fitted.components_, fitted.module_.decoder[0].weight.T.detach(), atol=1e-6)


def test_a_pipeline_stacks_layers(images):
    first = learner(pool_size=3, pool_stride=2)
    second = learner(Conv2d((6, 4, 4), (), stride=1), n_components=9, pool_size=2)
    stacked = make_pipeline(first, second).fit(images)
    lower = clone(first).fit(images)
    assert lower.code_shape_ == (6, 4, 4)
    upper = clone(second).fit(lower.transform(images))
    assert_array_equal(stacked.transform(images), upper.transform(lower.transform(images)))
    rebuilt = lower.inverse_transform(upper.inverse_transform(stacked.transform(images)))
    assert rebuilt.shape == images.shape
    assert_array_equal(stacked.inverse_transform(stacked.transform(images)), rebuilt)


# -- promises that its maps might break --------------------------------------------------


def test_fits_as_one_batch_are_those_alone(signals):
    settings = [dict(weight_decay=decay, batch_size=20) for decay in (0.0, 1e-3, 1e-2, 0.1)]
    together = fit_many([learner(SIGNALS, **one) for one in settings], signals)
    for fitted, one in zip(together, settings, strict=True):
        alone = learner(SIGNALS, **one).fit(signals)
        assert_allclose(fitted.transform(signals), alone.transform(signals), atol=1e-5)
        assert_allclose(fitted.module_.threshold, alone.module_.threshold, atol=1e-5)


@pytest.mark.parametrize("search_class", [GridSearchCV, BatchedGridSearchCV])
def test_a_search_over_pooling_and_layers(digits, search_class):
    pd = pytest.importorskip("pandas")
    X, y = pd.DataFrame(digits[:200]).add_prefix("pixel_"), load_digits().target[:200]
    pipeline = make_pipeline(learner(), LinearSVC())
    grid = {
        "winnertakeallautoencoder__pool_size": [4, "global"],
        "winnertakeallautoencoder__hidden_layers__kernel_size": [3, 5],
    }
    search = search_class(pipeline, grid, cv=2).fit(X, y)
    widths = {len(search.best_estimator_[0].set_output(transform="pandas").transform(X).columns)}
    assert widths <= {6, 24}
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_pickle_keeps_the_threshold(images):
    fitted = learner(pool_size=3).fit(images)
    loaded = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(loaded.transform(images), fitted.transform(images))
    assert_array_equal(loaded.score_samples(images), fitted.score_samples(images))
    assert loaded.partial_fit(images).module_.n_batches == fitted.module_.n_batches + 1
