"""Bad input: one clear sentence before any training."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import has, public_estimators, quick, width
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from torch import nn

from skae import Autoencoder, DenoisingAutoencoder, config_context
from skae._training._net import Net
from skae.layers import Dense
from skae.outputs import Huber


@pytest.fixture
def untrained(monkeypatch):
    """Fail if a step is trained."""
    monkeypatch.setattr(Net, "train_step", lambda *_: pytest.fail("it trained"))


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0, np.nan]], r"NaN(.|\n)*{name}(.|\n)*imputer"),
        ([[1.0, np.inf]], r"infinity"),
        ([[1.0, 1e300]], r"too large for dtype\('float32'\)"),
        (np.zeros((0, 3)), r"0 sample\(s\).*minimum of 1 is required by {name}"),
        (np.zeros((3, 0)), r"0 feature\(s\).*minimum of 1 is required by {name}"),
        ([["red", "blue"]], r"{name} needs numbers, but X holds strings.*OneHotEncoder"),
        (
            pd.DataFrame({"size": [1.0, 2.0], "colour": ["red", "blue"]}),
            r"{name} needs numbers, but column\(s\) 'colour' of X hold strings",
        ),
        ([1.0, 2.0], r"Expected 2D array"),
        (np.zeros((2, 2, 2)), r"(dim 3|3D array)"),
        (np.array([[1j]]), r"Complex data not supported"),
        (sparse.csr_matrix([[1.0, np.nan]]), r"NaN"),
    ],
    ids=str,
)
def test_bad_rows(estimator_class, method, X, message):
    if "NaN" in message and get_tags(estimator_class()).input_tags.allow_nan:
        pytest.skip("it takes missing entries")
    with pytest.raises(ValueError, match=message.format(name=estimator_class.__name__)):
        getattr(quick(estimator_class), method)(X)


BAD_PARAMETERS = [
    ({"n_components": 0}, r"'n_components'.*\[1, inf\)"),
    ({"n_components": 2.5}, r"'n_components'"),
    ({"learning_rate": -1e-3}, r"'learning_rate'.*\(0.0, (inf\)|1.0\])"),
    ({"learning_rate": 0}, r"'learning_rate'"),
    ({"loss": "mse"}, r"'loss'.*'squared_error'"),
    ({"code_activation": "cube"}, r"'code_activation'.*'sigmoid'"),
    ({"hidden_layers": 128}, r"'hidden_layers'.*tuple.*make_encoder"),
    ({"hidden_layers": "128"}, r"'hidden_layers'"),
    ({"hidden_layers": Dense}, r"hidden_layers is the class Dense; give an instance"),
    ({"loss": Huber}, r"loss is the class Huber; give an instance of it: Huber\("),
    ({"hidden_layers": (0,)}, r"hidden_layers must be positive integers, got \(0,\)"),
    ({"hidden_layers": ("a",)}, r"hidden_layers must be positive integers"),
    ({"hidden_layer_sizes": 64}, r"'hidden_layer_sizes'.*tuple"),
    ({"hidden_layer_sizes": ()}, r"hidden_layer_sizes must be one or more positive.*got \(\)"),
    ({"hidden_layer_sizes": (8, 0)}, r"hidden_layer_sizes must be .*positive.*got \(8, 0\)"),
    ({"hidden_layer_sizes": ("a",)}, r"hidden_layer_sizes must be one or more positive integers"),
    ({"batch_size": 0}, r"'batch_size'"),
    ({"batch_size": "all"}, r"'batch_size'"),
    ({"max_iter": 0}, r"'max_iter'"),
    ({"n_iter": -1}, r"'n_iter'"),
    ({"tol": -1}, r"'tol'"),
    ({"n_iter_no_change": 0}, r"'n_iter_no_change'"),
    ({"validation_fraction": 1.0}, r"'validation_fraction'"),
    ({"weight_decay": -1}, r"'weight_decay'"),
    ({"visible": "poisson"}, r"'visible'.*'gaussian'"),
    ({"hidden": "tanh"}, r"'hidden'.*'relu'"),
    ({"variance": 0}, r"'variance'.*'learned'"),
    ({"algorithm": "sgd"}, r"'algorithm'.*'(pcd|online)'"),
    ({"n_gibbs_steps": 0}, r"'n_gibbs_steps'"),
    ({"n_temperatures": 1}, r"'n_temperatures'"),
    ({"momentum": 1.0}, r"'momentum'"),
    ({"sparsity_target": 0}, r"'sparsity_target'"),
    ({"sparsity_cost": -1}, r"'sparsity_cost'"),
    ({"learning_rate_schedule": "staircase"}, r"'learning_rate_schedule'.*'linear'"),
    ({"random_state": "seed"}, r"'random_state'"),
    ({"device": "nonsense"}, r"device='nonsense' is not available.*device='auto'"),
    ({"device": 1}, r"'device'"),
]


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("estimator_class", "parameters", "message"),
    [
        pytest.param(one, *case, id=f"{one.__name__}-{case[0]}")
        for one in public_estimators()
        for case in BAD_PARAMETERS
        # The losses of networks that play against each other are others.
        if has(one, *case[0], *(["code_activation"] if "loss" in case[0] else []))
    ],
)
def test_bad_parameters(estimator_class, table, method, parameters, message):
    with pytest.raises(ValueError, match=message):
        getattr(quick(estimator_class, **parameters), method)(table)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
@pytest.mark.usefixtures("untrained")
def test_missing_gpu(estimator_class, table):
    with pytest.raises(ValueError, match="device='cuda' is not available on this machine"):
        quick(estimator_class, device="cuda").fit(table)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("noise", "level", "message"),
    [
        ("pepper", 0.3, "'noise'.*'salt_and_pepper'"),
        ("gaussian", -1.0, "'noise_level'"),
        ("masking", 1.5, "noise_level is the fraction.*at most 1, got 1.5"),
        ("swap", 2, "noise_level is the fraction"),
    ],
)
def test_bad_noise(table, noise, level, message):
    with pytest.raises(ValueError, match=message):
        quick(DenoisingAutoencoder, noise=noise, noise_level=level).fit(table)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(3), r"sample_weight.shape == \(3,\), expected \(300,\)"),
        (np.full(300, -1.0), "[Nn]egative values.*sample_weight"),
        (np.zeros(300), "zero|is 0 for every row"),
        (np.full(300, np.nan), "sample_weight.*NaN"),
        (np.ones((300, 2)), "must be 1D array or scalar"),
    ],
    ids=["length", "negative", "zero", "nan", "shape"],
)
def test_bad_weights(weighted_class, table, method, weight, message):
    with pytest.raises(ValueError, match=message):
        getattr(quick(weighted_class), method)(table, sample_weight=weight)


@pytest.mark.usefixtures("untrained")
def test_bad_validation_rows(validating_class, table):
    for bad, message in [
        (table[:, :3], "X_val.*3 features.*expecting 5 features"),
        (np.full((3, 5), np.nan), "X_val.*NaN"),
        (table[:0], "X_val.*0 sample"),
    ]:
        with pytest.raises(ValueError, match=rf"(?s){message}"):
            quick(validating_class).fit(table, X_val=bad)


@pytest.mark.usefixtures("untrained")
def test_nothing_to_hold_out(converging_class, table):
    with pytest.raises(ValueError, match=r"cannot hold out rows with n_samples=1.*X_val"):
        quick(converging_class, early_stopping=True).fit(table[:1])


def test_reading_with_the_wrong_width(estimator_class, table):
    estimator = quick(estimator_class, **width(estimator_class, 2)).fit(table)
    for method in ("transform", "score_samples", "score", "reconstruct", "partial_fit"):
        if not hasattr(estimator, method):
            continue
        with pytest.raises(ValueError, match=r"3 features.*expecting 5 features"):
            getattr(estimator, method)(table[:, :3])
    with pytest.raises(ValueError, match=r"X has 5 columns.*codes of 2 components"):
        estimator.inverse_transform(table)


def test_reading_before_fitting(estimator_class, table):
    for method in ("transform", "inverse_transform", "score_samples", "score", "reconstruct"):
        if hasattr(estimator_class, method):
            with pytest.raises(NotFittedError):
                getattr(quick(estimator_class), method)(table)


def test_one_column_and_constant_columns(estimator_class):
    constant = np.ones((30, 1))
    estimator = quick(estimator_class).fit(constant)
    assert np.isfinite(estimator.transform(constant)).all()
    assert np.isfinite(estimator.score_samples(constant)).all()


def test_set_params_after_fit_does_not_break_reading(estimator_class, table):
    estimator = quick(estimator_class, **width(estimator_class, 2)).fit(table)
    codes = estimator.set_params(**width(estimator_class, 4)).transform(table)
    assert codes.shape == (300, 2)
    assert len(estimator.get_feature_names_out()) == 2
    assert estimator.inverse_transform(codes).shape == (300, 5)


def test_settings_have_types():
    message = "record_steps must be a bool or None, got 'no'"
    with pytest.raises(TypeError, match=message), config_context(record_steps="no"):
        pass


class InPlace:
    """A user's layers that write over what they are given."""

    def make_encoder(self, n_features, n_components):
        return nn.Sequential(nn.ReLU(inplace=True), nn.Linear(n_features, n_components))

    def make_decoder(self, n_features, n_components, encoder):
        return nn.Linear(n_components, n_features)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_in_place_leave_the_rows_alone(normal_table, dtype):
    X = normal_table.astype(dtype)
    before = X.copy()
    estimator = quick(Autoencoder, hidden_layers=InPlace(), batch_size=300).fit(X)
    estimator.partial_fit(X)
    estimator.transform(X)
    estimator.score(X)
    np.testing.assert_array_equal(X, before)
