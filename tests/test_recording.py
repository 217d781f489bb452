"""Recorded steps: the same bits as without, and only where operations can be repeated."""

import numpy as np
import pytest
import torch
from conftest import quick
from numpy.testing import assert_array_equal
from torch import nn

import skae
from skae import (
    AdversarialAutoencoder,
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
    WinnerTakeAllAutoencoder,
)
from skae._training import Plan, Trainable, TrainingState, _steps, as_source, train
from skae._training._placing import Places
from skae._training._recording import Recording
from skae._training._tape import CannotRecordError, run_on_tape
from skae.autoencoders import AutoencoderModule
from skae.layers import Conv1d, Conv2d, Dense
from skae.outputs import Huber

KINDS = {
    "plain": Autoencoder(8, code_activation="tanh"),
    "linear": Autoencoder(3, hidden_layers=()),
    "weights": Autoencoder(4, weight_decay=0.01, l1=0.01, loss="huber"),
    "ordered": Autoencoder(4, ordered=True, loss="binary_cross_entropy"),
    "absolute": Autoencoder(4, loss="absolute_error", hidden_layers=Dense((9,), activation="gelu")),
    "tied": Autoencoder(4, hidden_layers=Dense((9,), tied_weights=True, activation="elu")),
    "non-negative": Autoencoder(4, hidden_layers=Dense((9,), non_negative=True)),
    "both": Autoencoder(4, hidden_layers=Dense((9,), non_negative=True, tied_weights=True)),
    "batch norm": Autoencoder(4, hidden_layers=Dense((9,), batch_norm=True, activation="silu")),
    "dropout": Autoencoder(4, hidden_layers=Dense((9, 7), dropout=0.3, batch_norm=True)),
    "signal": Autoencoder(2, hidden_layers=Conv1d((1, 5), (3, 4), dropout=0.2)),
    "image": Autoencoder(2, hidden_layers=Conv2d((1, 5, 1), (3, 4), kernel_size=1, stride=1)),
    "convolution": SparseAutoencoder(
        6, hidden_layers=Conv1d((1, 5), (3,), batch_norm=True), sparsity="k", k=2
    ),
    "closed form": ContractiveAutoencoder(4, hidden_layers=(), code_activation="sigmoid"),
    "exact": ContractiveAutoencoder(4, penalty="exact", hidden_layers=(9,)),
    "estimate": ContractiveAutoencoder(4, penalty="estimate", n_probes=2, hidden_layers=(9,)),
    "uniform levels": DenoisingAutoencoder(4, noise_schedule="uniform"),
    "listed levels": DenoisingAutoencoder(4, noise_schedule=[0.1, 0.4], noise="masking"),
    "salt and pepper": DenoisingAutoencoder(4, noise="salt_and_pepper"),
    "swap": DenoisingAutoencoder(4, noise="swap"),
    "l1": SparseAutoencoder(9, sparsity="l1"),
    "kl": SparseAutoencoder(9, sparsity="kl", code_activation="sigmoid"),
    "lifetime": SparseAutoencoder(9, sparsity="lifetime"),
    "evidence": VariationalAutoencoder(4, beta_warmup=3),
    "free bits": VariationalAutoencoder(4, free_bits=0.1),
    "importance": VariationalAutoencoder(4, n_importance_samples=3),
    "doubly": VariationalAutoencoder(4, n_importance_samples=3, doubly_reparameterized=True),
    "discrepancy": AdversarialAutoencoder(4),
    "winners": WinnerTakeAllAutoencoder(9),
    "winners of maps": WinnerTakeAllAutoencoder(
        6, hidden_layers=Conv1d((1, 5), (3,), stride=1, batch_norm=True), pool_size=2
    ),
}


@pytest.fixture
def no_recordings(monkeypatch):
    """Start without recordings of earlier tests."""
    monkeypatch.setattr(_steps, "_recordings", _steps._Recordings())


@pytest.fixture
def by_autograd(monkeypatch):
    """Return a list that grows by an entry with each step that autograd takes."""
    calls, original = [], _steps.RecordedSteps._loss_and_gradients

    def loss_and_gradients(*arguments):
        calls.append(1)
        return original(*arguments)

    monkeypatch.setattr(_steps.RecordedSteps, "_loss_and_gradients", loss_and_gradients)
    return calls


def results(estimator, X, **fit_parameters):
    """Return everything that a fit leaves."""
    estimator.fit(X, **fit_parameters)
    tensors = [*estimator.module_.parameters(), *estimator.module_.buffers()]
    return [np.asarray(estimator.loss_curve_), *(t.numpy(force=True) for t in tensors)]


@pytest.mark.usefixtures("no_recordings")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
def test_recorded_steps_have_the_same_bits(kind, weighted, table, by_autograd):
    # Seven batches of two sizes.
    settings = dict(batch_size=40, max_iter=4, tol=0, random_state=0, early_stopping=True)
    estimator = KINDS[kind].set_params(**settings)
    fit_parameters = {"sample_weight": np.linspace(0.5, 2, len(table))} if weighted else {}
    recorded = results(estimator, table, **fit_parameters)
    # Each size: a step by itself, one to record, one to compare with.
    assert len(by_autograd) == 2 * 3
    with skae.config_context(record_steps=False):
        plain = results(estimator, table, **fit_parameters)
    for one, same in zip(recorded, plain, strict=True):
        assert_array_equal(one, same)


@pytest.mark.usefixtures("no_recordings")
def test_fits_of_equal_structure_share_a_recording(table, by_autograd):
    first = DenoisingAutoencoder(4, batch_size=50, max_iter=3, tol=0, random_state=0).fit(table)
    assert len(by_autograd) == 3
    other = DenoisingAutoencoder(
        4, batch_size=50, max_iter=3, tol=0, random_state=1, noise_level=0.1, learning_rate=0.01
    )
    shared = results(other, table)
    assert len(by_autograd) == 3 + 1  # a step to compare with
    with skae.config_context(record_steps=False):
        for one, same in zip(shared, results(other, table), strict=True):
            assert_array_equal(one, same)
    assert not np.array_equal(other.transform(table), first.transform(table))
    other.set_params(noise="masking").fit(table)
    assert len(by_autograd) == 3 + 1 + 3


@pytest.mark.usefixtures("no_recordings")
def test_large_batches_are_not_recorded(table, by_autograd, monkeypatch):
    monkeypatch.setattr(_steps, "_MOST_NUMBERS", 50 * 5)
    for batch_size, n_by_autograd in ((50, 3), (60, 5 * 3)):
        by_autograd.clear()
        Autoencoder(2, batch_size=batch_size, max_iter=3, tol=0, random_state=0).fit(table)
        assert len(by_autograd) == n_by_autograd


class Scaled(nn.Module):
    """A user's layer, which may do anything."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.n_calls = 0

    def forward(self, x):
        self.n_calls += 1
        return self.linear(x) * (1 + self.n_calls % 3)


class ScaledLayers:
    def make_encoder(self, n_features, n_components):
        return Scaled(n_features, n_components)

    def make_decoder(self, n_features, n_components, encoder):
        return nn.Linear(n_components, n_features)


def test_layers_from_elsewhere_are_not_recorded(table, by_autograd):
    # A recording would repeat the factor of the call that was recorded.
    estimator = Autoencoder(2, hidden_layers=ScaledLayers(), max_iter=4, tol=0, random_state=0)
    estimator.fit(table)
    assert estimator.module_.structure() is None
    assert len(by_autograd) >= 4 * 2
    with skae.config_context(record_steps=False):
        plain = Autoencoder(2, hidden_layers=ScaledLayers(), max_iter=4, tol=0, random_state=0)
        assert_array_equal(plain.fit(table).loss_curve_, estimator.loss_curve_)


class OwnModule(AutoencoderModule):
    """A user's objective, which keeps the rules of a `Trainable`."""

    def loss(self, batch, noise):
        return super().loss(batch, noise) + self.encode(batch.x).abs().mean(1)


class OwnAutoencoder(Autoencoder):
    def _make_module(self, n_features):
        return OwnModule(**self._module_arguments(n_features))


@pytest.mark.usefixtures("no_recordings")
def test_objectives_from_elsewhere_are_recorded(table, by_autograd):
    settings = dict(max_iter=6, tol=0, random_state=0)
    estimator = OwnAutoencoder(2, **settings)
    recorded = results(estimator, table[:100])
    assert len(by_autograd) == 3
    with skae.config_context(record_steps=False):
        for one, same in zip(recorded, results(estimator, table[:100]), strict=True):
            assert_array_equal(one, same)
    assert not np.allclose(
        estimator.loss_curve_, Autoencoder(2, **settings).fit(table[:100]).loss_curve_
    )


@pytest.mark.usefixtures("no_recordings")
def test_a_changed_objective_is_trained(table, monkeypatch):
    """As in a notebook, where a class is edited between two fits."""
    settings = dict(max_iter=6, tol=0, random_state=0)
    before = OwnAutoencoder(2, **settings).fit(table[:100]).loss_curve_
    monkeypatch.setattr(
        OwnModule, "loss", lambda self, b, n: 7 * AutoencoderModule.loss(self, b, n)
    )
    recorded = results(OwnAutoencoder(2, **settings), table[:100])
    assert not np.allclose(recorded[0], before)
    with skae.config_context(record_steps=False):
        same = results(OwnAutoencoder(2, **settings), table[:100])
    for one, other in zip(recorded, same, strict=True):
        assert_array_equal(one, other)


class Turned:
    """Layers whose weights are stored the other way round, as a transposed array is."""

    def make_encoder(self, n_features, n_components):
        linear = nn.Linear(n_features, n_components)
        linear.weight = nn.Parameter(torch.rand(n_features, n_components).t())
        return linear

    def make_decoder(self, n_features, n_components, encoder):
        return nn.Linear(n_components, n_features)


def test_weights_in_another_memory_layout_learn_the_same(table):
    estimator = Autoencoder(
        3, hidden_layers=Turned(), batch_size=50, max_iter=6, tol=0, random_state=0
    )
    recorded = results(estimator, table)
    with skae.config_context(record_steps=False):
        for one, same in zip(recorded, results(estimator, table), strict=True):
            assert_array_equal(one, same)


class AnyNoise(Trainable):
    """Has noise of one of two patterns, and lists its parameters in an order of its own."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))

    def parameter_groups(self):
        return [{"params": [self.b, self.a]}]

    def sample_noise(self, batch, generator):
        drawn = generator.uniform(tuple(batch.x.shape))
        return (drawn, None) if drawn[0, 0] < 0.5 else (None, drawn)

    def loss(self, batch, noise):
        first, second = noise
        x = batch.x * self.a if first is None else batch.x + first * self.a
        return (x - (0 if second is None else second) - self.b).square().sum(1)


def test_noise_of_two_patterns_and_parameters_in_another_order(by_autograd):
    rows = np.random.default_rng(0).random((40, 3)).astype(np.float32)
    found = []
    for record in (True, False):
        module = AnyNoise()
        with skae.config_context(record_steps=record):
            source = as_source(rows, None, torch.device("cpu"))
            train(TrainingState(module, 0.01, seed=0), source, Plan(20, 10, 0.01))
        found.append(torch.cat([module.a, module.b]).detach())
    assert torch.equal(*found)
    assert len(by_autograd) == 2 * 3  # of 80 steps, some by each pattern


def test_hooks_are_not_recorded():
    module = quick(Autoencoder)._make_module(5)
    assert module.structure() is not None
    module.encoder.register_forward_hook(lambda *_: None)
    assert module.structure() is None


@pytest.mark.usefixtures("no_recordings")
def test_a_recording_that_differs_is_not_used(table, monkeypatch, by_autograd):
    """What no rule foresees is found by the comparison with autograd."""
    original, factors = Autoencoder._make_module, iter(range(1, 1000))

    def make_module(self, n_features):
        module = original(self, n_features)
        loss = module.decoding_loss
        module.decoding_loss = lambda *arguments: loss(*arguments) * next(factors)
        return module

    monkeypatch.setattr(Autoencoder, "_make_module", make_module)
    estimator = Autoencoder(2, max_iter=6, tol=0, random_state=0)
    recorded = results(estimator, table[:100])
    assert len(by_autograd) == 6
    factors = iter(range(1, 1000))
    with skae.config_context(record_steps=False):
        for one, same in zip(recorded, results(estimator, table[:100]), strict=True):
            assert_array_equal(one, same)


def test_structure_tells_apart_what_computes_differently():
    def structure(cls=Autoencoder, n_features=5, **parameters):
        return cls(3, **parameters)._make_module(n_features).structure()

    assert structure() == structure(learning_rate=0.1)
    assert structure(weight_decay=0.1) == structure(weight_decay=0.2)
    assert structure(loss=Huber(0.1)) == structure(loss=Huber(0.2))
    different = [
        structure(),
        structure(n_features=6),
        structure(weight_decay=0.1),
        structure(loss="huber"),
        structure(hidden_layers=(127,)),
        structure(hidden_layers=Dense((128,), activation="elu")),
        structure(hidden_layers=Dense((128,), batch_norm=True)),
        structure(hidden_layers=Dense((128,), tied_weights=True)),
        structure(ordered=True),
        structure(SparseAutoencoder, sparsity="k", k=2),
        structure(SparseAutoencoder, sparsity="k", k=3),
        structure(SparseAutoencoder, sparsity="lifetime", lifetime_fraction=0.1),
        structure(SparseAutoencoder, sparsity="lifetime", lifetime_fraction=0.2),
    ]
    assert len(set(different)) == len(different)


# -- the recording itself ------------------------------------------------------------------


def record(function, lasting, passing):
    found, tape = run_on_tape(lambda: function(*lasting, *passing))
    return next(Recording(tape, found, lasting, passing).bind(lasting, Places()))


def test_a_recording_repeats_its_function_for_other_inputs():
    weight = torch.randn(3, 4)

    def function(weight, x):
        product = x @ weight.t().t().t()
        product += 1  # in place
        low, high = product.aminmax()  # two results
        product = product[torch.tensor([4, 0, 2])]
        parts = torch.cat([product[:, :1], product[:, 1:] * 2], dim=1)
        return [parts, (product - low) / (high - low), torch.ones_like(x) * 2, x.detach()]

    run = record(function, [weight], [torch.randn(5, 4)])
    for _ in range(2):
        x = torch.randn(5, 4)
        for found, expected in zip(run(x), function(weight, x), strict=True):
            assert torch.equal(found, expected)
        weight.add_(0.5)  # its memory stays: the recording sees it


@pytest.mark.parametrize("weighted", [False, True])
def test_fewer_passes_give_the_same_bits(weighted):
    """Of several networks at a time, with results large enough to have places."""
    n, rows, wide, narrow = 5, 70, 40, 30
    encoder, decoder = torch.randn(n, narrow, wide), torch.randn(n, wide, narrow)
    lasting = [encoder, torch.randn(n, narrow), decoder]
    weight = torch.rand(rows) if weighted else torch.ones(())

    def function(encoder, bias, decoder, x):
        leaves = [one.detach().requires_grad_() for one in (encoder, bias, decoder)]
        first, second, third = leaves
        with torch.enable_grad():
            code = torch.relu(bias_first := second[:, None] + torch.bmm(x, first.transpose(1, 2)))
            output = torch.bmm(code, third.transpose(1, 2))
            errors = nn.functional.mse_loss(output, x, reduction="none").mean(2) * weight
            loss = errors.mean(1) + first.square().sum((1, 2)) + bias_first.mean((1, 2))
            return [loss.detach(), *torch.autograd.grad(loss.sum(), leaves)]

    passing = [torch.randn(n, rows, wide)]
    found, tape = run_on_tape(lambda: function(*lasting, *passing))
    quick, plain = Recording(tape, found, lasting, passing).bind(lasting, Places())
    losses = []
    for _ in range(2):
        x = torch.randn(n, rows, wide)
        expected = function(*lasting, x)
        for run in (quick, plain):
            results = run(x)
            for one, other in zip(results, expected, strict=True):
                assert torch.equal(one, other)
            losses.append((results[0], expected[0]))
    for one, other in losses:  # which an epoch collects
        assert torch.equal(one, other)


def test_a_recording_changes_the_buffers_that_its_function_changes():
    count = torch.zeros(())

    def function(count, x):
        count.add_(x.sum())
        return [count * 2]

    run = record(function, [count], [torch.ones(2)])
    assert count == 2
    assert run(torch.ones(3))[0] == 10
    assert count == 5


def test_constants_that_are_written_to_start_anew():
    def function(x):
        total = torch.zeros(3)
        total.add_(x)
        return [total]

    run = record(function, [], [torch.ones(3)])
    assert torch.equal(run(torch.ones(3))[0], torch.ones(3))
    assert torch.equal(run(torch.ones(3))[0], torch.ones(3))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: [x * x.sum().item()], "number is read"),
        (lambda x: [x if x.sum() > 0 else -x], "number is read"),
        (lambda x: [x[x > 0]], "shape of a tensor depends"),
        (lambda x: [x.nonzero()], "shape of a tensor depends"),
        (lambda x: [nn.functional.dropout(x)], "random numbers are drawn"),
    ],
)
def test_what_depends_on_the_data_cannot_be_recorded(function, message):
    with pytest.raises(CannotRecordError, match=message):
        record(function, [], [torch.ones(3)])
