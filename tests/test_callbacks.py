"""skorch's callbacks, and a user's own, in every estimator that trains by gradient."""

import json
import warnings

import numpy as np
import pytest
import torch
from conftest import quick
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    GradientNormClipping,
    LRScheduler,
    PrintLog,
    ProgressBar,
)

from skae import Autoencoder


class Notebook(Callback):
    """A user's callback: notes what it sees, and records a number."""

    def __init__(self, name="sum of weights"):
        self.name = name

    def on_train_begin(self, net, X=None, y=None, **_):
        self.events = ["train begins"]

    def on_epoch_end(self, net, **_):
        self.events.append(len(net.history))
        weights = sum(float(p.detach().sum()) for p in net.module_.parameters())
        net.history.record(self.name, weights)

    def on_train_end(self, net, **_):
        self.events.append("train ends")


class BatchSizes(Callback):
    def on_train_begin(self, net, **_):
        self.sizes, self.losses = [], []

    def on_batch_begin(self, net, batch, training, **_):
        self.sizes.append((training, len(batch.x)))

    def on_batch_end(self, net, loss, **_):
        self.losses.append(float(loss))


def test_a_callback_of_the_user_sees_each_epoch(converging_class, table):
    notebook = Notebook()
    estimator = quick(converging_class, callbacks=[notebook], tol=0).fit(table)
    assert notebook.events == ["train begins", 1, 2, 3, 4, 5, "train ends"]
    assert set(estimator.history_) == {"train_loss", "sum of weights"}
    assert estimator.history_["train_loss"] == estimator.loss_curve_
    weights = sum(float(p.detach().sum()) for p in estimator.module_.parameters())
    assert estimator.history_["sum of weights"][-1] == weights


def test_callbacks_do_not_change_the_bits(converging_class, table):
    plain = quick(converging_class, batch_size=70).fit(table)
    watched = quick(converging_class, batch_size=70, callbacks=[Notebook(), BatchSizes()])
    assert_array_equal(watched.fit(table).transform(table), plain.transform(table))


def test_hooks_of_a_batch_are_called(table):
    sizes = BatchSizes()
    estimator = quick(
        Autoencoder, callbacks=[sizes], batch_size=100, max_iter=2, tol=0, early_stopping=True
    ).fit(table)
    epoch = [(True, 90)] * 3 + [(False, 30)]
    assert sizes.sizes == 2 * epoch
    assert np.mean(sizes.losses[:3]) == pytest.approx(estimator.loss_curve_[0])
    assert sizes.losses[3] == pytest.approx(estimator.validation_loss_curve_[0])


def test_a_batch_costs_nothing_for_callbacks_without_hooks(table, monkeypatch):
    from skae._training._net import Net

    events, original = [], Net.notify

    def notify(self, method_name, **arguments):
        events.append(method_name)
        original(self, method_name, **arguments)

    monkeypatch.setattr(Net, "notify", notify)
    quick(Autoencoder, callbacks=[Notebook()], max_iter=2, tol=0, batch_size=50).fit(table)
    once = ["on_epoch_begin", "on_epoch_end"]
    assert events == ["on_train_begin", *once, *once, "on_train_end"]


def test_checkpoint_saves_the_best_weights(table, tmp_path):
    checkpoint = Checkpoint(monitor="valid_loss_best", dirname=str(tmp_path))
    estimator = quick(
        Autoencoder, callbacks=[checkpoint], early_stopping=True, max_iter=8, tol=0
    ).fit(table)
    best = torch.load(tmp_path / "params.pt", weights_only=True)
    for name, tensor in estimator.module_.state_dict().items():
        assert torch.equal(best[name], tensor)
    history = json.loads((tmp_path / "history.json").read_text())
    until_best = estimator.validation_loss_curve_[: len(history)]
    assert [epoch["valid_loss"] for epoch in history] == until_best
    assert until_best[-1] == min(estimator.validation_loss_curve_)


def test_a_scheduler_of_the_user_sets_the_learning_rate(table):
    scheduler = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.1)
    estimator = quick(Autoencoder, callbacks=[scheduler], learning_rate=0.01, tol=0).fit(table)
    assert np.allclose(estimator.history_["event_lr"], [1e-2, 1e-2, 1e-3, 1e-3, 1e-4])


def test_logs_print(table, capfd):
    quick(Autoencoder, callbacks=[PrintLog(), ProgressBar()], tol=0, max_iter=3).fit(table)
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert "epoch" in lines[0]
    assert "train_loss" in lines[0]
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3"]
    assert "0/2" in err  # batches of an epoch


def test_a_callback_may_end_the_training_without_a_warning(table):
    class Enough(Callback):
        def on_epoch_end(self, net, **_):
            if len(net.history) == 3:
                raise KeyboardInterrupt

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator = quick(Autoencoder, callbacks=[Enough()], max_iter=50).fit(table)
        assert estimator.n_iter_ == 3
        stopping = EarlyStopping(monitor="train_loss", patience=2, threshold=10, sink=len)
        estimator = quick(Autoencoder, callbacks=[stopping], max_iter=50).fit(table)
    assert estimator.n_iter_ < 5


def test_gradients_can_be_clipped(table):
    # Adam does not see the size of a gradient, but for its epsilon: clipped to nothing, it stops.
    start = quick(Autoencoder, learning_rate=1e-30).fit(table).transform(table)
    clipped = quick(Autoencoder, callbacks=[GradientNormClipping(1e-20)], tol=0).fit(table)
    assert np.allclose(clipped.transform(table), start, atol=1e-6)
    assert not np.allclose(quick(Autoencoder, tol=0).fit(table).transform(table), start, atol=1e-2)


def test_an_error_in_a_callback_leaves_the_estimator_as_it_was(converging_class, table):
    class Broken(Callback):
        def on_epoch_end(self, net, **_):
            raise RuntimeError("broken")

    estimator = quick(converging_class).fit(table)
    before = estimator.transform(table)
    with pytest.raises(RuntimeError, match="broken"):
        estimator.set_params(callbacks=[Broken()]).fit(table)
    assert_array_equal(estimator.transform(table), before)


def test_callbacks_are_a_parameter_like_any_other(table):
    estimator = quick(Autoencoder, callbacks=[Notebook("a"), ("named", Notebook("b"))])
    copy = clone(estimator)
    assert copy.callbacks is not estimator.callbacks
    pipeline = make_pipeline(StandardScaler(), quick(Autoencoder, max_iter=2))
    grid = {"autoencoder__callbacks": [None, [Notebook()]]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(table)
    assert len(set(search.cv_results_["mean_test_score"])) == 1
    fitted = copy.fit(table)
    assert {"a", "b"} <= set(fitted.history_)


@pytest.mark.parametrize("callbacks", [Notebook(), "print", 3])
def test_callbacks_that_are_no_list_are_refused(callbacks, table):
    with pytest.raises(ValueError, match="'callbacks' parameter"):
        quick(Autoencoder, callbacks=callbacks).fit(table)


def test_what_is_no_callback_is_refused(table):
    with pytest.raises(TypeError, match=r"callbacks.*skorch.*got 3"):
        quick(Autoencoder, callbacks=[3]).fit(table)
