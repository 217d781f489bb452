"""skorch's callbacks, and a user's own, in every estimator that trains by gradient."""

import json
import pickle
import warnings

import numpy as np
import pandas as pd
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
    Freezer,
    GradientNormClipping,
    LRScheduler,
    PrintLog,
    ProgressBar,
    Unfreezer,
)

from skae import Autoencoder, SparseAutoencoder, config_context
from skae._training._net import Net
from skae._training._optimizers import Adam
from skae.autoencoders import AutoencoderModule
from skae.layers import Dense


class Notebook(Callback):
    """A user's callback: records what it sees, and a number."""

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


def test_callbacks_see_no_pretraining(table):
    notebook = Notebook()
    quick(Autoencoder, callbacks=[notebook], pretrain=True, max_iter=1).fit(table)
    assert notebook.events == ["train begins", 1, "train ends"]


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


def test_frozen_layers_stay_as_they_are(table):
    start = quick(Autoencoder, learning_rate=1e-30).fit(table).module_.state_dict()
    thaw = Unfreezer("encoder.*", at=4)
    estimator = quick(Autoencoder, callbacks=[Freezer("encoder.*")], tol=0).fit(table)
    thawed = quick(Autoencoder, callbacks=[Freezer("encoder.*"), thaw], tol=0).fit(table)
    for name, tensor in estimator.module_.state_dict().items():
        assert torch.allclose(tensor, start[name], atol=1e-20) == name.startswith("encoder")
    assert not torch.allclose(thawed.module_.encoder[0].weight, start["encoder.0.weight"])


def test_a_callback_may_replace_weights(table):
    class Replace(Callback):
        """New memory for all weights, as averaging and pruning bring."""

        def on_epoch_end(self, net, **_):
            for parameter in net.module_.parameters():
                parameter.data = parameter.data * 0.5

    settings = dict(callbacks=[Replace()], batch_size=50, max_iter=5, tol=0)
    recorded = quick(Autoencoder, **settings).fit(table)
    with config_context(record_steps=False):
        plain = quick(Autoencoder, **settings).fit(table)
    assert_array_equal(recorded.transform(table), plain.transform(table))


def test_all_layers_may_be_frozen(table):
    start = quick(Autoencoder, learning_rate=1e-30).fit(table)
    for record in (True, False):
        with config_context(record_steps=record):
            frozen = quick(Autoencoder, callbacks=[Freezer("*")], tol=0).fit(table)
        assert np.allclose(frozen.transform(table), start.transform(table), atol=1e-12)
        assert len(frozen.loss_curve_) == 5


def change_penalty(module):
    module.sparsity.k = 1


def use_running_statistics(module):
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm1d):
            layer.eval()


def halve_gradients(module):
    for parameter in module.parameters():
        parameter.register_hook(lambda gradient: gradient / 2)


def scale_codes(module):
    module.encoder.register_forward_hook(lambda layer, inputs, output: 2 * output)


CHANGES = [change_penalty, use_running_statistics, halve_gradients, scale_codes]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("event", ["on_train_begin", "on_epoch_begin"])
def test_what_a_callback_changes_has_its_effect_and_no_later_one(table, change, event):
    changing = type("Changing", (Callback,), {event: lambda self, net, **_: change(net.module_)})
    layers = Dense((9,), batch_norm=True)
    estimator = SparseAutoencoder(
        6, sparsity="k", k=3, hidden_layers=layers, max_iter=6, tol=0, batch_size=50, random_state=0
    )

    def codes(callbacks, record):
        with config_context(record_steps=record):
            return clone(estimator).set_params(callbacks=callbacks).fit(table).transform(table)

    expected, plain = codes([changing()], record=False), codes(None, record=False)
    assert not np.array_equal(expected, plain)
    assert_array_equal(codes([changing()], record=True), expected)
    assert_array_equal(codes(None, record=True), plain)


def test_adam_is_that_of_torch_where_parameters_sit_out_steps():
    ours, theirs = ([torch.nn.Parameter(torch.ones(3)) for _ in range(2)] for _ in range(2))
    adam = Adam([{"params": ours}], lr=0.1)
    reference = torch.optim.Adam(theirs, lr=0.1)
    generator = torch.Generator().manual_seed(0)
    for n in range(12):
        for i in range(2):
            sits_out = i == 0 and 3 <= n < 8
            gradient = torch.randn(3, generator=generator)
            for parameters in (ours, theirs):
                parameters[i].grad = None if sits_out else gradient.clone()
        adam.step()
        reference.step()
        resumed = Adam([{"params": ours}], lr=0.1)
        resumed.load_state_dict(adam.state_dict())
        adam = resumed
        for one, other in zip(ours, theirs, strict=True):
            assert torch.allclose(one, other, rtol=1e-6)


def test_schedules_call_no_hook_of_a_batch(table, monkeypatch):
    events, original = [], Net.notify
    monkeypatch.setattr(
        Net, "notify", lambda self, name, **kw: (events.append(name), original(self, name, **kw))
    )
    for schedule in ("cosine", "plateau"):
        quick(Autoencoder, learning_rate_schedule=schedule, batch_size=50).fit(table)
    assert not [name for name in events if "batch" in name]


def test_each_optimizer_has_the_schedule(table):
    class TwoRates(AutoencoderModule):
        def parameter_groups(self):
            encoder, decoder = self.encoder.parameters(), self.decoder.parameters()
            return [{"params": list(encoder)}, {"params": list(decoder), "lr": 0.2}]

    class TwoRatesAutoencoder(Autoencoder):
        def _make_module(self, n_features):
            return TwoRates(**self._module_arguments(n_features))

    class Rates(Callback):
        def on_train_begin(self, net, **_):
            self.rates = []

        def on_epoch_begin(self, net, **_):
            self.rates.append([o.param_groups[0]["lr"] for o in net.optimizers_])

    rates = Rates()
    quick(
        TwoRatesAutoencoder,
        learning_rate=0.1,
        learning_rate_schedule="linear",
        callbacks=[rates],
        tol=0,
    ).fit(table)
    expected = np.outer([1, 0.8, 0.6, 0.4, 0.2], [0.1, 0.2])
    assert np.allclose(rates.rates, expected)


def test_history_has_an_entry_for_each_epoch(table):
    class Seldom(Callback):
        def on_epoch_end(self, net, **_):
            if len(net.history) % 2:
                net.history.record("sometimes", np.float32(len(net.history)))
                net.history.record("whole", 3)

    estimator = quick(Autoencoder, callbacks=[Seldom()], tol=0, warm_start=True).fit(table)
    assert_array_equal(estimator.history_["sometimes"], [1, np.nan, 3, np.nan, 5])
    estimator.set_params(callbacks=None, early_stopping=True).fit(table)
    frame = pd.DataFrame(estimator.history_)
    assert len(frame) == 10
    assert frame["whole"].tolist()[:1] == [3.0]
    assert frame["valid_loss"].isna().tolist() == [True] * 5 + [False] * 5


def test_an_error_before_the_progress_bar_is_raised(table):
    class Broken(Callback):
        def on_train_begin(self, net, **_):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        quick(Autoencoder, callbacks=[Broken()], verbose=1).fit(table)


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


class KeepsTheNet(Callback):
    """Keeps the net, which a pickle then contains."""

    def on_train_end(self, net, **_):
        self.net_ = net


class KeepsTheNetAndWatchesGradients(KeepsTheNet):
    """The same where no step is recorded."""

    def on_grad_computed(self, net, **_):
        pass


@pytest.mark.parametrize("kind", [KeepsTheNet, KeepsTheNetAndWatchesGradients])
def test_a_callback_that_keeps_the_net_can_be_pickled(table, kind):
    fitted = quick(Autoencoder, callbacks=[kind()], batch_size=50).fit(table)
    loaded = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(loaded.transform(table), fitted.transform(table))
    history = loaded.callbacks[0].net_.history
    assert [epoch["train_loss"] for epoch in history] == fitted.loss_curve_


@pytest.mark.parametrize(
    "callback",
    [EarlyStopping(), EarlyStopping, ("stop", EarlyStopping()), Checkpoint()],
    ids=["object", "class", "pair", "checkpoint"],
)
def test_watching_validation_rows_that_are_not_there(table, callback):
    estimator = quick(Autoencoder, callbacks=[callback])
    with pytest.raises(ValueError, match=r"monitors 'valid_loss.*early_stopping=True.*'train_lo"):
        estimator.fit(table)
    assert not hasattr(estimator, "module_")


def test_numbers_of_any_kind_are_in_the_history(table):
    class Record(Callback):
        def on_epoch_end(self, net, **_):
            n = len(net.history)
            numbers = dict(a=n > 1, b=np.bool_(n > 1), c=torch.tensor(n), d=np.float32(n), e="no")
            for name, value in numbers.items():
                net.history.record(name, value)

    history = quick(Autoencoder, callbacks=[Record()], max_iter=2, tol=0).fit(table).history_
    del history["train_loss"]
    assert history == {"a": [0, 1], "b": [0, 1], "c": [1, 2], "d": [1, 2]}


def test_a_callback_that_stops_in_the_first_epoch_leaves_the_estimator_as_it_was(table):
    class Stop(Callback):
        def on_batch_end(self, net, **_):
            raise KeyboardInterrupt

    estimator = quick(Autoencoder).fit(table)
    before = estimator.transform(table)
    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(callbacks=[Stop()]).fit(2 * table)
    assert_array_equal(estimator.transform(table), before)
    with pytest.raises(KeyboardInterrupt):
        quick(Autoencoder, callbacks=[Stop()]).fit(table)
