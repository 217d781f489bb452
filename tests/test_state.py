"""A training goes on from its state, and learns at the rate of its schedule."""

import io
import math

import numpy as np
import pytest
import torch
from conftest import VARIANTS, TwoGroups, groups, has, quick
from numpy.testing import assert_allclose
from sklearn.base import clone

from skae import Autoencoder, BernoulliRBM, DenoisingAutoencoder
from skae._random import new_random_state
from skae._training import Callback, TrainingState, train
from skae._training._trainable import tensors_of
from skae.autoencoders._conditions import Given

SCHEDULES = ("constant", "linear", "exponential", "cosine", "plateau")


class StopAfter(Callback):
    """Stop as a user does, at the end of an epoch."""

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_epoch_end(self, net, **_):
        if len(net.history) == self.n_epochs:
            raise KeyboardInterrupt


class Training:
    """What `fit` does between its validation and its attributes."""

    def __init__(self, estimator, X, seed=0):
        estimator = clone(estimator)
        labels = Given(groups(X)) if isinstance(estimator, TwoGroups) else None
        self.source, _ = estimator._sources((X, labels, None), (None, None), reset=True)
        self.validation = None
        random_state = new_random_state(seed)
        module = estimator._new_module(self.source.n_features, random_state)
        if getattr(estimator, "early_stopping", False):
            self.source, self.validation = self.source.hold_out(0.2, np.random.RandomState(0))
        estimator._initialise(module, self.source, random_state, streaming=False)
        estimator._observe(module, self.source)
        self.plan = estimator._plan(self.source)
        self.state = TrainingState(module, self.plan.learning_rate, seed)

    def run(self, *callbacks, **settings):
        train(
            self.state,
            self.source,
            self.plan,
            validation=self.validation,
            callbacks=callbacks,
            **settings,
        )
        return self


def assert_resumes(estimator, X, after):
    straight = Training(estimator, X).run()
    file = io.BytesIO()

    def save(state):
        if len(state.history) == after:
            torch.save(state.state_dict(), file)

    Training(estimator, X).run(StopAfter(after), on_epoch_complete=save)
    file.seek(0)
    resumed = Training(estimator, X, seed=1)  # everything comes from the state
    resumed.state.load_state_dict(torch.load(file, weights_only=True))  # nothing executable
    assert len(resumed.state.history) == after
    resumed.run()
    for one, same in zip(
        tensors_of(straight.state.module), tensors_of(resumed.state.module), strict=True
    ):
        assert torch.equal(one, same)
    assert straight.state.curves() == resumed.state.curves()
    assert straight.state.ending == resumed.state.ending
    return straight.state


# Not a stack of machines: each of these has a training of its own.
ONE_TRAINING = [
    pytest.param(one, parameters, id=f"{one.__name__}-{'-'.join(parameters)}")
    for one, parameters in VARIANTS
    if not has(one, "hidden_layer_sizes")
]


@pytest.mark.parametrize(("estimator_class", "parameters"), ONE_TRAINING)
@pytest.mark.parametrize("after", [1, 3])
def test_a_stopped_training_goes_on_to_the_same_bits(estimator_class, parameters, table, after):
    assert_resumes(quick(estimator_class, batch_size=40, **parameters), table, after)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_stopped_training_goes_on_with_its_schedule_and_its_best_weights(schedule, table):
    estimator = DenoisingAutoencoder(
        3,
        noise_level=0.1,
        learning_rate=0.05,
        learning_rate_schedule=schedule,
        early_stopping=True,
        n_iter_no_change=4,
        tol=1e-3,
        max_iter=60,
        batch_size=60,
    )
    state = assert_resumes(estimator, table, after=9)
    assert state.ending == "converged"  # so that patience and best weights had a say


# -- schedules -----------------------------------------------------------------------------


class Rates(Callback):
    def on_train_begin(self, net, **_):
        self.rates = []

    def on_epoch_begin(self, net, **_):
        self.rates.append(net.optimizer_.param_groups[0]["lr"])


@pytest.mark.parametrize(
    ("schedule", "factor"),
    [
        ("constant", lambda part: 1),
        ("linear", lambda part: 1 - part),
        ("exponential", lambda part: 0.01**part),
        ("cosine", lambda part: 0.5 + 0.5 * math.cos(math.pi * part)),
    ],
)
@pytest.mark.parametrize("cls", [Autoencoder, BernoulliRBM])
def test_schedules_are_those_of_the_docs(cls, schedule, factor, table):
    rates = Rates()
    estimator = quick(cls, learning_rate=0.02, learning_rate_schedule=schedule)
    if cls is Autoencoder:
        estimator.set_params(callbacks=[rates], tol=0).fit(table)
    else:
        Training(estimator, table).run(rates)
    assert_allclose(rates.rates, [0.02 * factor(epoch / 5) for epoch in range(5)], rtol=1e-12)


def test_a_plateau_halves_the_learning_rate():
    rates = Rates()
    X = np.random.default_rng(0).normal(size=(200, 3))
    Autoencoder(
        1,
        learning_rate=0.01,
        learning_rate_schedule="plateau",
        n_iter_no_change=8,  # two epochs of patience
        tol=10,  # nothing ever counts as an improvement
        max_iter=8,
        callbacks=[rates],
    ).fit(X)
    # The first epoch sets the best loss; after each third one without an improvement ...
    assert_allclose(rates.rates, [0.01] * 4 + [0.005] * 3 + [0.0025])


def test_schedules_end_a_fit_closer_to_the_optimum(digits):
    """What they are for: a loss at the end that a constant rate with its noise does not reach."""
    settings = dict(hidden_layers=(), learning_rate=0.1, max_iter=15, tol=0, random_state=0)
    settings["batch_size"] = 20
    constant = Autoencoder(8, **settings).fit(digits)
    for schedule in ("linear", "cosine", "exponential"):
        decayed = Autoencoder(8, learning_rate_schedule=schedule, **settings).fit(digits)
        assert decayed.loss_curve_[-1] < constant.loss_curve_[-1]


def test_partial_fit_has_no_schedule(table):
    estimator = quick(Autoencoder, learning_rate_schedule="linear", max_iter=2)
    for _ in range(4):  # more epochs than the schedule has
        before = estimator.partial_fit(table).transform(table)
    assert not np.array_equal(estimator.partial_fit(table).transform(table), before)
