"""Bad input: one clear sentence before any training."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from conftest import epochs, has, public_estimators, quick, width
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import get_tags
from torch import nn

from skae import (
    Autoencoder,
    BernoulliRBM,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    OutlierDetector,
    SelfOrganizingMap,
    config_context,
)
from skae._training._net import Net
from skae.autoencoders import CodebookEnsemble
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
        ([[1.0, np.nan]], r"NaN; .*{name}.*SimpleImputer"),
        ([[1.0, np.inf]], r"infinity"),
        ([[1.0, 1e300], [1.0, 0.0]], r"[Tt]oo large for (dtype\('float32'\)|a map)|are too large"),
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
        (torch.tensor([[1j]]), r"Complex data not supported"),
        (torch.empty(3, 2, device="meta"), r"X is a tensor on the device 'meta'"),
        (sparse.csr_matrix([[1.0, np.nan]]), r"NaN"),
    ],
    ids=str,
)
def test_bad_rows(estimator_class, method, X, message):
    if "NaN" in message and get_tags(estimator_class()).input_tags.allow_nan:
        pytest.skip("it takes missing entries")
    with pytest.raises(ValueError, match=message.format(name=estimator_class.__name__)):
        getattr(quick(estimator_class), method)(X)


DATES = pd.date_range("2020-01-01", periods=3)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("X", "where"),
    [
        (pd.DataFrame({"day": DATES, "b": 1.0}), r"column\(s\) 'day' of X hold"),
        (pd.DataFrame({"day": DATES.tz_localize("UTC"), "b": 1.0}), r"column\(s\) 'day' of X hold"),
        (pd.DataFrame({"b": 1.0, "wait": DATES - DATES[0]}), r"column\(s\) 'wait' of X hold"),
        (DATES.to_numpy()[:, None], r"X holds something else \(datetime64"),
        ([[{}, 1.0], [{}, 2.0]], "X holds something else"),
    ],
    ids=["dates", "zoned", "durations", "array", "dicts"],
)
def test_rows_of_no_numbers(public_class, method, X, where):
    if hasattr(public_class, method):
        # The learner of a detector speaks for itself.
        names = rf"({public_class.__name__}|RobustFeatureScaler)"
        message = rf"{names} needs numbers, but {where}.*; encode it first"
        with pytest.raises(TypeError, match=message):
            getattr(quick(public_class), method)(X)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("kind", ["bfloat16", "to_sparse", "to_sparse_csr"])
def test_tensors_of_any_kind(public_class, kind):
    X = torch.tensor(np.random.default_rng(0).integers(0, 2, (30, 4)), dtype=torch.float32)
    # The default learner of a detector scales sparse rows otherwise, so that they stay sparse.
    given = {"estimator": CodebookEnsemble(random_state=0)} if has(public_class, "trim") else {}
    estimator = quick(public_class, **given).fit(getattr(X, kind)())
    scores = estimator.score_samples(getattr(X, kind)())
    assert_array_equal(scores, quick(public_class, **given).fit(X).score_samples(X))


@pytest.mark.parametrize("value", [True, np.True_])
def test_a_bool_is_no_number(public_class, table, value):
    others = {"early_stopping", "verbose", "warm_start", "ordered", "pretrain", "centered"}
    numeric = {
        name
        for name, default in public_class().get_params().items()
        if isinstance(default, (int, float)) and not isinstance(default, bool)
    }
    assert numeric or public_class.__name__ == "CodebookEnsemble"
    for name in [*sorted(numeric - others), "random_state"]:
        with pytest.raises(ValueError, match=f"'{name}' parameter of {public_class.__name__} must"):
            quick(public_class, **{name: value}).fit(table)


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
    ({"loss": Huber}, r"Huber is a class; give an instance of it: Huber\("),
    ({"hidden_layers": (0,)}, r"hidden_layers must be positive integers, got \(0,\)"),
    ({"hidden_layers": ("a",)}, r"hidden_layers must be positive integers"),
    ({"hidden_layer_sizes": 64}, r"'hidden_layer_sizes'.*tuple"),
    ({"hidden_layer_sizes": ()}, r"hidden_layer_sizes must be one or more positive.*got \(\)"),
    ({"hidden_layer_sizes": (8, 0)}, r"hidden_layer_sizes must be .*positive.*got \(8, 0\)"),
    ({"hidden_layer_sizes": ("a",)}, r"hidden_layer_sizes must be one or more positive integers"),
    ({"hidden_layer_sizes": (True,)}, r"hidden_layer_sizes must be .*positive.*got \(True,\)"),
    ({"shape": (True, 2)}, r"shape must be two positive integers"),
    ({"device": "meta"}, r"device='meta' is not available"),
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
        (np.full((3, 5), np.nan), "X_val.*: Input X_val contains NaN"),
        (table[:0], "X_val.*0 sample"),
    ]:
        with pytest.raises(ValueError, match=rf"(?s){message}"):
            quick(validating_class).fit(table, X_val=bad)


@pytest.mark.usefixtures("untrained")
def test_nothing_to_hold_out(converging_class, table):
    with pytest.raises(ValueError, match=r"cannot hold out rows with n_samples=1.*X_val"):
        quick(converging_class, early_stopping=True).fit(table[:1])
    with pytest.raises(ValueError, match=r"n_samples=5: validation_fraction=0.9 leaves none"):
        quick(converging_class, early_stopping=True, validation_fraction=0.9).fit(table[:5])


def test_reading_with_the_wrong_width(estimator_class, table):
    estimator = quick(estimator_class, **width(estimator_class, 2)).fit(table)
    for method in ("transform", "score_samples", "score", "reconstruct", "partial_fit"):
        if not hasattr(estimator, method):
            continue
        with pytest.raises(ValueError, match=r"3 features.*expecting 5 features"):
            getattr(estimator, method)(table[:, :3])
    with pytest.raises(ValueError, match=r"X has 5 columns.*codes of 2 components"):
        estimator.inverse_transform(table)


def test_codes_of_no_numbers(estimator_class, table):
    estimator = quick(estimator_class, **width(estimator_class, 2)).fit(table)
    with pytest.raises(ValueError, match=r"needs numbers, but X holds strings.*encode it"):
        estimator.inverse_transform([["a", "b"]])


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


class Own:
    """A user's layers, given as functions of their numbers of inputs and outputs."""

    def __init__(self, encoder=nn.Linear, decoder=nn.Linear):
        self.encoder, self.decoder = encoder, decoder

    def make_encoder(self, n_features, n_components):
        return self.encoder(n_features, n_components)

    def make_decoder(self, n_features, n_components, encoder):
        return self.decoder(n_components, n_features)


class Draws(nn.Linear):
    """A layer that draws by itself, as `torch.nn.functional.dropout` does."""

    def forward(self, x):
        return nn.functional.dropout(super().forward(x), 0.5, self.training)


def before(kind, *arguments):
    """Return a function that makes a layer of this kind and a linear one."""
    return lambda n_in, n_out: nn.Sequential(kind(*arguments), nn.Linear(n_in, n_out))


def wide(n):
    return lambda n_in, n_out: nn.Linear(n_in, n)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (Own(wide(1)), r"encoder.*must return 3 numbers for each row.*of shape \(2, 1\)"),
        (Own(wide(4)), r"encoder.*must return 3 numbers for each row.*of shape \(2, 4\)"),
        (Own(decoder=wide(1)), r"decoder.*must return 5 numbers for each row.*of shape \(2, 1\)"),
        (Own(decoder=lambda *_: nn.Linear(4, 5)), r"decoder.*fails on rows of 3 numbers: mat1"),
        (
            Own(lambda *_: None),
            r"make_encoder of hidden_layers must return a torch.nn.Module.*None",
        ),
        (Own(before(nn.Dropout, 0.5)), r"global generator \(Dropout\).*skae.layers.*sample_noise"),
        (Own(decoder=before(nn.AlphaDropout, 0.5)), r"global generator \(AlphaDropout\)"),
        (Own(before(nn.RReLU)), r"global generator \(RReLU\)"),
        (Own(Draws), r"global generator, so that"),
    ],
    ids=[
        *("code-1", "code-4", "rows-1", "inside", "no-module"),
        *("dropout", "alpha-dropout", "rrelu", "functional"),
    ],
)
def test_layers_of_a_user_that_do_not_do(table, method, layers, message):
    state = torch.get_rng_state()
    estimator = quick(Autoencoder, n_components=3, hidden_layers=layers)
    with pytest.raises(ValueError, match=message):
        getattr(estimator, method)(table)
    assert not hasattr(estimator, "module_")
    assert torch.equal(torch.get_rng_state(), state)


def test_trying_layers_leaves_them_as_they_are(table):
    layers = Own(lambda n_in, n_out: nn.Sequential(nn.BatchNorm1d(n_in), nn.Linear(n_in, n_out)))
    fitted = quick(Autoencoder, n_components=3, hidden_layers=layers, max_iter=4, batch_size=100)
    assert fitted.fit(table).module_.encoder[0].num_batches_tracked == 4 * 3


class Wrong:
    """An output with one method that returns what it should not, or with no number of outputs."""

    def __init__(self, error=None, mean=None, n_outputs_per_feature=1):
        self.wrong = {"error": error, "mean": mean}
        self.n_outputs_per_feature = n_outputs_per_feature

    def error(self, output, target):
        result = (output - target).square()
        return self.wrong["error"](result) if self.wrong["error"] else result

    def mean(self, output):
        return self.wrong["mean"](output) if self.wrong["mean"] else output


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"error": lambda e: e.mean(1)}, r"method error of loss=Wrong.*\(2, 5\).*of shape \(2,\)"),
        ({"error": lambda e: e[:, :1]}, r"method error of loss=Wrong.*of shape \(2, 1\)"),
        ({"error": lambda e: e.numpy()}, r"method error of loss=Wrong.*returns a ndarray"),
        ({"mean": lambda m: m.sum()}, r"method mean of loss=Wrong.*of shape \(\)"),
        ({"n_outputs_per_feature": 0}, r"n_outputs_per_feature of .* positive integer, got 0"),
        ({"n_outputs_per_feature": 2.5}, r"n_outputs_per_feature of .*, got 2.5"),
    ],
    ids=["mean-error", "first-error", "numpy", "one-mean", "0", "2.5"],
)
def test_outputs_of_a_user_that_do_not_do(table, parameters, message):
    with pytest.raises(ValueError, match=message):
        quick(Autoencoder, loss=Wrong(**parameters)).fit(table)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_in_place_leave_the_rows_alone(normal_table, dtype):
    X = normal_table.astype(dtype)
    before = X.copy()
    estimator = quick(Autoencoder, hidden_layers=InPlace(), batch_size=300).fit(X)
    estimator.partial_fit(X)
    estimator.transform(X)
    estimator.score(X)
    np.testing.assert_array_equal(X, before)


class WithMask:
    """Layers with infinity in a buffer, as masks of attention have."""

    def make_encoder(self, n_features, n_components):
        layer = nn.Linear(n_features, n_components)
        layer.register_buffer("mask", torch.tensor([-torch.inf, 0.0]))
        return layer

    def make_decoder(self, n_features, n_components, encoder):
        return nn.Linear(n_components, n_features)


def test_infinity_in_a_buffer_is_no_divergence(table):
    estimator = quick(Autoencoder, hidden_layers=WithMask()).fit(table)
    assert estimator.n_iter_ == 5
    estimator.partial_fit(table)
    assert np.isfinite(estimator.transform(table)).all()


@pytest.mark.filterwarnings("ignore:.* takes values as probabilities")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_numbers_that_float32_cannot_square(estimator_class, table, method):
    estimator = quick(estimator_class)
    with pytest.raises(ValueError, match=r"(?s)[Ss]cale X first.*StandardScaler"):
        getattr(estimator, method)(np.float32(3e37) * table.astype(np.float32))
    assert [name for name in vars(estimator) if name.endswith("_")] == []


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_nan_that_is_not_looked_for(estimator_class, table, method):
    if get_tags(estimator_class()).input_tags.allow_nan:
        pytest.skip("it takes missing entries")
    X = table.copy()
    X[3, 2] = np.nan
    with sklearn.config_context(assume_finite=True), pytest.raises(ValueError, match="finite"):
        getattr(quick(estimator_class), method)(X)


#: Parameters that make another network, and those that do not.
OTHER_NETWORKS = [
    *({"n_components": 3}, {"hidden_layers": (7,)}, {"loss": "huber"}, {"weight_decay": 0.1}),
    *({"code_activation": "sigmoid"}, {"noise": "swap"}, {"hidden": "relu"}, {"variance": 2.0}),
    *({"hidden_layer_sizes": (3,)}, {"visible": "gaussian"}, {"shape": (5, 2)}),
    *({"metric": "manhattan"}, {"topology": "hexagonal"}, {"hidden_layers__dropout": 0.1}),
]
SAME_NETWORK = [{"learning_rate": 0.02, "verbose": 0, "random_state": 3}, {"alpha": 0.3}]
SAME_NETWORK += [{"noise_level": 0.1}, {"max_iter": 7}, {"n_iter": 7}, {"output": "coordinates"}]


def changes(cases):
    """Return estimators with a parameter to change."""
    for one in public_estimators():
        for case in cases:
            is_game = "loss" in case and not has(one, "code_activation")  # names of its own
            if has(one, *(name.split("__")[0] for name in case)) and not is_game:
                yield pytest.param(one, case, id=f"{one.__name__}-{case}")


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
@pytest.mark.parametrize(("estimator_class", "parameters"), changes(OTHER_NETWORKS))
def test_partial_fit_of_another_network(estimator_class, table, first, parameters):
    deep = {"hidden_layers": Dense((6,))} if "hidden_layers__dropout" in parameters else {}
    table = table[:50]
    estimator = getattr(quick(estimator_class, **deep, **epochs(estimator_class, 2)), first)(table)
    before = estimator.transform(table)
    (name,) = parameters
    with pytest.raises(ValueError, match=f"partial_fit cannot go on.*{name}.*changed.*call fit"):
        estimator.set_params(**parameters).partial_fit(table)
    assert_array_equal(estimator.transform(table), before)
    estimator.fit(table).partial_fit(table)


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
@pytest.mark.parametrize(("estimator_class", "parameters"), changes(SAME_NETWORK))
def test_partial_fit_goes_on_with_other_settings(estimator_class, table, first, parameters):
    estimator = getattr(quick(estimator_class), first)(table)
    estimator.set_params(**parameters).partial_fit(table)
    assert np.isfinite(estimator.transform(table)).all()


def test_partial_fit_takes_a_number_of_the_objective_that_was_set(table):
    """As if it had been that number from the beginning; the first chunk trains the same way."""
    estimator = quick(ContractiveAutoencoder, alpha=1e-30, batch_size=300).partial_fit(table)
    penalised = quick(ContractiveAutoencoder, alpha=100.0, batch_size=300).partial_fit(table)
    plain = copy.deepcopy(estimator).partial_fit(table)
    estimator.set_params(alpha=100.0).partial_fit(table)
    assert estimator.loss_curve_[1] > 10 * plain.loss_curve_[1]
    assert estimator.loss_curve_[1] == pytest.approx(penalised.loss_curve_[0], rel=0.2)


@pytest.mark.parametrize("parameters", [{"batch_size": 0}, {"learning_rate": -1.0}], ids=str)
def test_bad_parameters_that_are_set_after_a_fit(estimator_class, table, parameters):
    estimator = quick(estimator_class).fit(table)
    (name,) = parameters
    with pytest.raises(ValueError, match=f"'{name}' parameter of {estimator_class.__name__} must"):
        estimator.set_params(**parameters).partial_fit(table)


def test_warnings_name_the_line_of_the_user(table):
    class Mine(Autoencoder):
        def fit(self, X, y=None, **arguments):
            return super().fit(X, y, **arguments)

    settings = dict(max_iter=2, tol=0, random_state=0)
    for one, n_warnings in [
        (Autoencoder(2, **settings), 1),
        (Mine(2, **settings), 1),
        (make_pipeline(MinMaxScaler(), Autoencoder(2, **settings)), 1),
        (GridSearchCV(Autoencoder(**settings), {"n_components": [2]}, cv=2), 3),
        (BernoulliRBM(2, n_iter=1), 1),
        (OutlierDetector(Autoencoder(2, **settings)), 1),
        (SelfOrganizingMap((40, 90), n_iter=1), 1),
    ]:
        with pytest.warns(UserWarning, match="max_iter|as probabilities|units for") as caught:
            one.fit(table * 2)
        assert [Path(warning.filename) for warning in caught] == [Path(__file__)] * n_warnings
