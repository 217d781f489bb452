"""Many estimators fitted as one batch: each is as by its own fit."""

import gc
import pickle
import threading
import warnings
import weakref
from collections import Counter

import numpy as np
import pytest
import torch
from conftest import unlabelled_classes
from numpy.testing import assert_allclose
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skae
from skae import (
    AdversarialAutoencoder,
    Autoencoder,
    BernoulliRBM,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    OutlierDetector,
    SparseAutoencoder,
    VariationalAutoencoder,
    base,
    config_context,
    fit_many,
)
from skae._training import _memory, _stack_training
from skae.autoencoders import AutoencoderModule
from skae.layers import Conv2d, Dense


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return (X[:420] / 16).astype(np.float32), y[:420]


@pytest.fixture
def stack_sizes(monkeypatch):
    """The number of modules in each stack that is put together."""
    sizes = []

    class Counted(_stack_training.Stack):
        def __init__(self, modules, **settings):
            sizes.append(len(modules))
            super().__init__(modules, **settings)

    monkeypatch.setattr(_stack_training, "Stack", Counted)
    return sizes


def varied(estimator_class, **settings):
    """Estimators that differ in learning rate, number of epochs and seed."""
    return [
        estimator_class(
            4,
            hidden_layers=(10,),
            learning_rate=rate,
            max_iter=max_iter,
            random_state=seed,
            tol=1e-3,
        ).set_params(**settings)
        for rate in (1e-3, 5e-3)
        for max_iter in (3, 9)
        for seed in (0, 1)
    ]


def assert_same_fit(one, other):
    assert one.n_iter_ == other.n_iter_
    assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-5)
    expected, found = one.module_.state_dict(), other.module_.state_dict()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert_allclose(found[name], value, rtol=1e-4, atol=1e-6)
    assert one.module_.training is other.module_.training is False


CASES = {
    "plain": (Autoencoder, {}),
    "tied": (Autoencoder, {"hidden_layers": Dense((10,), tied_weights=True)}),
    "dropout": (Autoencoder, {"hidden_layers": Dense((10,), dropout=0.2)}),
    "batch norm": (Autoencoder, {"hidden_layers": Dense((10,), batch_norm=True)}),
    "convolution": (Autoencoder, {"hidden_layers": Conv2d((1, 8, 8), channels=(3,))}),
    "ordered": (Autoencoder, {"ordered": True}),
    "pca start": (Autoencoder, {"hidden_layers": (), "init": "pca"}),
    "pretrained": (Autoencoder, {"pretrain": True}),
    "one batch": (Autoencoder, {"batch_size": 1000}),
    "early stopping": (DenoisingAutoencoder, {"early_stopping": True, "n_iter_no_change": 2}),
    "plateau": (Autoencoder, {"learning_rate_schedule": "plateau", "n_iter_no_change": 4}),
    "cosine": (Autoencoder, {"learning_rate_schedule": "cosine"}),
    "gaussian noise": (DenoisingAutoencoder, {}),
    "masking noise": (DenoisingAutoencoder, {"noise": "masking", "noise_schedule": "uniform"}),
    "swap noise": (DenoisingAutoencoder, {"noise": "swap"}),
    "sparse": (SparseAutoencoder, {}),
    "k sparse": (SparseAutoencoder, {"sparsity": "k", "k": 2}),
    "contractive": (ContractiveAutoencoder, {}),
    "variational": (VariationalAutoencoder, {"beta_warmup": 4}),
    "importance": (VariationalAutoencoder, {"n_importance_samples": 3}),
    "conditional": (ConditionalVariationalAutoencoder, {}),
    "wasserstein": (AdversarialAutoencoder, {}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_each_is_as_by_its_own_fit(case, digits, stack_sizes):
    X, y = digits
    estimator_class, settings = CASES[case]
    alone, together = varied(estimator_class, **settings), varied(estimator_class, **settings)
    for estimator in alone:
        estimator.fit(X, y)
    assert fit_many(together, X, y=y, n_batched=8) == together
    assert max(stack_sizes, default=0) > 2
    for one, other in zip(alone, together, strict=True):
        if case == "batch norm":
            # A bias before it has no gradient but rounding, of which Adam makes full steps.
            assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-4)
            assert_allclose(one.reconstruct(X), other.reconstruct(X), atol=0.02)
        else:
            assert_same_fit(one, other)


def test_numbers_in_the_objective_differ_within_a_stack(digits, stack_sizes):
    """What a search varies: among them 0, where a penalty is left out."""
    X, _ = digits
    settings = [
        {"noise_level": level, "weight_decay": decay} for level in (0.1, 0.4) for decay in (0, 0.01)
    ]
    base = DenoisingAutoencoder(4, hidden_layers=(), max_iter=5, tol=0.01, random_state=0)
    alone = [clone(base).set_params(**one).fit(X) for one in settings]
    together = fit_many([clone(base).set_params(**one) for one in settings], X, n_batched=4)
    assert stack_sizes  # without and with a penalty are two
    for one, other in zip(alone, together, strict=True):
        assert_same_fit(one, other)


def test_weights_of_the_rows(digits):
    X, _ = digits
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    alone, together = varied(DenoisingAutoencoder), varied(DenoisingAutoencoder)
    fit_many(together, X, weight)
    for one, other in zip(alone, together, strict=True):
        assert_same_fit(one.fit(X, sample_weight=weight), other)


@pytest.mark.parametrize("as_table", [np.asarray, csr_matrix])
def test_seeds_to_see_how_far_results_vary(digits, as_table):
    """Each goes through the same rows in an order of its own."""
    X, _ = digits
    X, weight = as_table(X), np.random.default_rng(0).integers(1, 3, X.shape[0])
    settings = {"hidden_layers": (), "max_iter": 3, "tol": 1e-3}
    alone, together = (
        [DenoisingAutoencoder(4, random_state=seed, **settings) for seed in range(5)]
        for _ in range(2)
    )
    fit_many(together, X, weight, n_batched=5)
    for one, other in zip(alone, together, strict=True):
        assert_same_fit(one.fit(X, sample_weight=weight), other)


def test_without_recorded_steps(digits):
    X, _ = digits
    alone, together = varied(Autoencoder), varied(Autoencoder)
    fit_many(alone, X)
    with config_context(record_steps=False):
        fit_many(together, X)
    for one, other in zip(alone, together, strict=True):
        assert_same_fit(one, other)


def test_unlike_estimators_are_fitted_too(digits):
    """Other widths, other classes, other packages, pipelines with a network in the middle."""
    X, _ = digits
    settings = {"max_iter": 3, "tol": 0.1, "random_state": 0}
    estimators = [
        Autoencoder(3, **settings),
        Autoencoder(4, **settings),
        SparseAutoencoder(4, **settings),
        BernoulliRBM(4, n_iter=2, random_state=0),
        make_pipeline(StandardScaler(), Autoencoder(3, **settings), StandardScaler()),
        OutlierDetector(Autoencoder(3, **settings), n_estimators=3, random_state=0),
        StandardScaler(),
    ]
    alone = [clone(one).fit(X) for one in estimators]
    fit_many(estimators, X)
    for one, other in zip(alone, estimators, strict=True):
        if hasattr(one, "module_"):
            expected = dict(one.module_.named_parameters())
            for name, value in other.module_.named_parameters():
                assert torch.equal(value, expected[name])
        elif hasattr(one, "transform"):
            assert_allclose(one.transform(X), other.transform(X))
        else:
            assert_allclose(one.score_samples(X), other.score_samples(X))


def test_those_with_callbacks_are_fitted_alone(digits, stack_sizes):
    X, _ = digits
    seen = []

    class Epochs(skae._training.Callback):
        def on_epoch_end(self, net, **_):
            seen.append(len(net.history))

    fit_many([Autoencoder(2, max_iter=3, tol=1, callbacks=[Epochs()]) for _ in range(4)], X)
    assert seen == [1, 2, 3] * 4
    assert not stack_sizes


def test_converged_ones_leave(digits, stack_sizes):
    X, _ = digits
    estimators = [
        Autoencoder(4, hidden_layers=(), max_iter=n, tol=0, random_state=0) for n in (2, 2, 2, 9)
    ]
    estimators += [clone(estimators[-1]) for _ in range(3)]
    fit_many(estimators, X, n_batched=10)
    assert [one.n_iter_ for one in estimators] == [2, 2, 2, 9, 9, 9, 9]
    n_threads = torch.get_num_threads()
    assert sum(stack_sizes) == 7 + 4 if n_threads == 1 else len(stack_sizes) >= 2


@pytest.mark.parametrize("record_steps", [True, False])
def test_the_first_to_end_does_not_change_the_others(digits, record_steps):
    """Not their dropout either, while it waits in their stack."""
    X, _ = digits
    layers = Dense((10,), dropout=0.3)
    settings = {"hidden_layers": layers, "tol": 0, "random_state": 0, "learning_rate": 2e-3}
    first = Autoencoder(4, max_iter=2, **settings).set_params(learning_rate=1e-3)
    others = [Autoencoder(4, max_iter=6, **settings) for _ in range(11)]
    with config_context(record_steps=record_steps):
        fit_many([first, *others], X, n_batched=12)
    assert_same_fit(Autoencoder(4, max_iter=6, **settings).fit(X), others[-1])


def test_a_fit_that_goes_on_after_ours(digits):
    X, _ = digits

    class WithMean(Autoencoder):
        def fit(self, X, y=None):
            super().fit(X)
            self.mean_code_ = self.transform(X).mean(axis=0)
            return self

    estimators = [WithMean(2, max_iter=1, tol=1, random_state=seed) for seed in range(3)]
    for one in fit_many(estimators, X):
        assert one.mean_code_.shape == (2,)


def test_n_batched_bounds_the_stacks(digits, stack_sizes):
    X, _ = digits
    estimators = [Autoencoder(2, max_iter=1, random_state=seed) for seed in range(8)]
    fit_many(estimators, X, n_batched=4)
    assert stack_sizes == [4, 4]


def test_memory_bounds_the_stacks(digits, stack_sizes, monkeypatch):
    """At the free memory of the formula for 2 * 2 modules in each of the threads."""
    X, _ = digits
    estimators = [Autoencoder(2, max_iter=1, random_state=seed) for seed in range(8)]
    each = []
    bytes_of = _memory.bytes_of
    monkeypatch.setattr(_memory, "bytes_of", lambda one: each.append(bytes_of(one)) or each[-1])
    fit_many(estimators, X)
    [(weights, computed)] = each
    free = 2 * 2 * torch.get_num_threads() * (11 * weights + 2 * computed)
    monkeypatch.setattr(_memory, "free_memory", lambda device: free)
    stack_sizes.clear()
    fit_many(estimators, X)
    assert stack_sizes == [2] * 4


def test_out_of_memory_halves_the_stack(digits, stack_sizes, monkeypatch):
    X, _ = digits
    alone, together = varied(DenoisingAutoencoder), varied(DenoisingAutoencoder)
    mean_loss, n_calls = _stack_training.Stack.mean_loss, []

    def mean_loss_of_few(stack, batch, noise):
        n_calls.append(1)
        if len(stack) > 2 and len(n_calls) % 2 == 0:  # after a step
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return mean_loss(stack, batch, noise)

    monkeypatch.setattr(_stack_training.Stack, "mean_loss", mean_loss_of_few)
    fit_many(together, X, n_batched=8)
    assert max(stack_sizes) > 2
    assert stack_sizes[-1] <= 2
    for one, other in zip(alone, together, strict=True):
        assert_same_fit(one.fit(X), other)


def test_out_of_memory_in_a_later_epoch(digits, stack_sizes, monkeypatch):
    """Members go on from the end of the last one that is complete."""
    X, _ = digits
    settings = {
        "hidden_layers": Dense((10,), dropout=0.2),
        "early_stopping": True,
        "learning_rate_schedule": "plateau",
        "n_iter_no_change": 4,
    }
    alone, together = (varied(DenoisingAutoencoder, **settings) for _ in range(2))
    take_step, n_steps = _stack_training.RecordedSteps.__call__, Counter()

    def fail_when_too_many(steps, *arguments):
        result = take_step(steps, *arguments)
        n_steps[steps] += 1
        is_large = isinstance(steps._module, _stack_training.Stack) and len(steps._module) > 2
        if is_large and n_steps[steps] == 2 * 2 + 1:  # of 2 steps an epoch
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return result

    monkeypatch.setattr(_stack_training.RecordedSteps, "__call__", fail_when_too_many)
    fit_many(together, X, n_batched=8)
    assert max(stack_sizes) > 2
    assert stack_sizes[-1] <= 2
    for one, other in zip(alone, together, strict=True):
        assert_same_fit(one.fit(X), other)


def test_what_cannot_be_stacked_is_trained_alone(digits, monkeypatch):
    """As where torch cannot batch an operation."""
    X, _ = digits

    def refuse(stack, batch, noise):
        raise RuntimeError("Batching rule not implemented for aten::something")

    monkeypatch.setattr(_stack_training.Stack, "mean_loss", refuse)
    alone, together = varied(DenoisingAutoencoder), varied(DenoisingAutoencoder)
    fit_many(together, X)
    for one, other in zip(alone, together, strict=True):
        assert_same_fit(one.fit(X), other)


def test_one_that_diverges_does_not_disturb_the_others(digits):
    X, _ = digits
    settings = {"max_iter": 20, "tol": 0, "random_state": 0}
    rates = [1e-3, 1e30, 2e-3]
    estimators = [Autoencoder(4, learning_rate=rate, **settings) for rate in rates]
    with pytest.raises(ValueError, match="stopped being finite") as caught:
        fit_many(estimators, X)
    assert "learning_rate=1e+30" in caught.value.__notes__[0]
    for rate, estimator in zip(rates, estimators, strict=True):
        if rate < 1:
            assert_same_fit(Autoencoder(4, learning_rate=rate, **settings).fit(X), estimator)
    alone = clone(estimators[1])
    with pytest.raises(ValueError, match="stopped being finite"):
        alone.fit(X)
    assert vars(estimators[1]).keys() == vars(alone).keys()


def test_warnings_are_those_of_fit(digits):
    X, _ = digits
    estimators = [Autoencoder(2, max_iter=1, random_state=seed) for seed in range(3)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_many(estimators, X)
    assert [one.category for one in caught] == [ConvergenceWarning] * 3
    assert {one.filename for one in caught} == {__file__}


def test_invalid_parameters_and_rows(digits):
    X, _ = digits
    good, bad = Autoencoder(2, max_iter=1), Autoencoder(-1)
    with pytest.raises(ValueError, match="n_components"):
        fit_many([good, bad], X)
    assert good.n_iter_ == 1
    assert not hasattr(bad, "n_features_in_")
    with pytest.raises(ValueError, match="NaN"):
        fit_many([Autoencoder(2), Autoencoder(2)], np.full((5, 3), np.nan))
    for n_batched in (0, "two", 1.5):
        with pytest.raises((ValueError, TypeError), match="n_batched"):
            fit_many([good], X, n_batched=n_batched)
    for no_estimators in (good, Autoencoder, [Autoencoder], [None]):
        with pytest.raises(TypeError, match="estimators must be"):
            fit_many(no_estimators, X)
    with pytest.raises(ValueError, match="twice"):
        fit_many([good, good], X)
    assert fit_many([], X) == []


def test_interrupt_keeps_complete_epochs(digits, monkeypatch):
    """What is in training keeps its epochs, what waits is as it was."""
    X, _ = digits
    estimators = [Autoencoder(2, max_iter=500, tol=0, random_state=seed) for seed in range(6)]
    mean = _stack_training._means
    n_calls = []

    def press(losses, share):
        n_calls.append(1)
        if len(n_calls) == 7:
            raise KeyboardInterrupt
        return mean(losses, share)

    monkeypatch.setattr(_stack_training, "_means", press)
    with pytest.raises(KeyboardInterrupt):
        fit_many(estimators, X, n_batched=3)
    fitted = [one for one in estimators if hasattr(one, "module_")]
    assert fitted
    for one in fitted:
        assert 1 <= one.n_iter_ < 10
        assert np.isfinite(one.transform(X)).all()
    for one in set(estimators) - set(fitted):
        assert not hasattr(one, "n_features_in_")
    assert threading.active_count() < 10


@pytest.mark.parametrize("where", ["draw", "begin"])
def test_interrupt_before_the_first_epoch(digits, monkeypatch, where):
    X, _ = digits
    calls = []

    def press(member):
        calls.append(member)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(member)

    original = getattr(_stack_training.Member, where)
    monkeypatch.setattr(_stack_training.Member, where, press)
    estimators = [Autoencoder(2, max_iter=5, random_state=0) for _ in range(6)]
    with pytest.raises(KeyboardInterrupt):
        fit_many(estimators, X, n_batched=6)
    assert not any(hasattr(one, "n_features_in_") for one in estimators)


def test_modules_own_their_memory(digits):
    """A pickle of one is not one of all."""
    X, _ = digits
    alone = Autoencoder(2, max_iter=1, random_state=0).fit(X)
    together = fit_many([Autoencoder(2, max_iter=1, random_state=0) for _ in range(20)], X)
    assert len(pickle.dumps(together[0])) < 1.1 * len(pickle.dumps(alone))
    before = together[0].transform(X)
    together[1].partial_fit(X)
    assert_allclose(together[0].transform(X), before)


def test_global_state_is_left_alone(digits):
    X, _ = digits
    threads, state, grad = torch.get_num_threads(), torch.get_rng_state(), torch.is_grad_enabled()
    fit_many(varied(DenoisingAutoencoder), X)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled() == grad


def test_an_ensemble_of_outlier_detection_trains_as_one(digits, stack_sizes):
    X, _ = digits
    learner = Autoencoder(3, max_iter=4, tol=0.01, random_state=0)
    settings = {"n_estimators": 6, "max_samples": 0.5, "random_state": 0}
    together = OutlierDetector(learner, **settings).fit(X)
    assert sum(stack_sizes) >= 6
    alone = OutlierDetector(learner, n_jobs=1, **settings).fit(X)
    assert_allclose(together.score_samples(X), alone.score_samples(X), rtol=1e-5)


@pytest.mark.parametrize("estimator_class", unlabelled_classes(), ids=lambda one: one.__name__)
def test_every_estimator_can_be_one_of_many(estimator_class, digits):
    X, _ = digits
    short = {"max_iter": 2, "n_iter": 2}
    parameters = estimator_class().get_params()
    settings = {name: value for name, value in short.items() if name in parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = estimator_class(**settings).set_params(random_state=0).fit(X[:60, :9])
        others = [estimator_class(**settings).set_params(random_state=0) for _ in range(3)]
        fit_many(others, X[:60, :9])
    for other in others:
        if hasattr(one, "score_samples"):
            scores = (each.score_samples(X[:, :9]) for each in (other, one))
            assert_allclose(*scores, rtol=1e-4, atol=1e-4)


@pytest.fixture
def most_alive(monkeypatch):
    """The number of states of trainings, with their optimizers, that exist at a time."""
    alive, most = weakref.WeakSet(), [0]

    class Counted(base.TrainingState):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            alive.add(self)
            gc.collect()
            most[0] = max(most[0], len(alive))

    monkeypatch.setattr(base, "TrainingState", Counted)
    return most


def test_memory_is_that_of_the_models_in_flight(digits, most_alive, monkeypatch):
    """Not that of all, also if they are of several kinds."""
    monkeypatch.setattr(_memory, "_PART_WAITING", 0)
    X, _ = digits
    settings = {"max_iter": 1, "tol": 0.1}
    estimators = [Autoencoder(2 + i % 2, random_state=i, **settings) for i in range(40)]
    bound = 3 * torch.get_num_threads()
    fit_many(estimators, X[:20], n_batched=3)
    assert bound <= most_alive[0] <= bound + 2  # each kind begins with one


def test_blocks_have_the_same_results(digits, monkeypatch):
    X, _ = digits
    alone, together = varied(DenoisingAutoencoder), varied(DenoisingAutoencoder)
    monkeypatch.setattr(_memory, "_PART_WAITING", 0)
    fit_many(together, X, n_batched=2)
    for one, other in zip(alone, together, strict=True):
        assert_same_fit(one.fit(X), other)


def test_a_loss_that_fails_ends_its_own_fit_alone(table):
    class FailingModule(AutoencoderModule):
        def loss(self, batch, noise):
            raise RuntimeError("no loss")

    class Failing(Autoencoder):
        def _make_module(self, n_features):
            return FailingModule(**self._module_arguments(n_features))

    failing = [Failing(2, max_iter=3, random_state=seed) for seed in range(2)]
    others = [Autoencoder(2, max_iter=3, random_state=seed) for seed in range(2)]
    with pytest.raises(RuntimeError, match="no loss"):
        fit_many([*failing, *others], table)
    assert all(hasattr(one, "module_") for one in others)
    assert not any(hasattr(one, "module_") for one in failing)
