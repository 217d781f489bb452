"""A fit whose process ended goes on from its checkpoint, and ends with the same bits."""

import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from conftest import VARIANTS, TwoGroups, groups, has, quick
from safetensors import safe_open
from sklearn.base import clone
from skorch.callbacks import Callback

import skae._checkpoint
from skae import Autoencoder, BernoulliRBM, DeepBeliefNetwork, DenoisingAutoencoder
from skae._training._trainable import tensors_of


class Killed(BaseException):
    """Ends a fit as the end of its process does: nobody catches it."""


class Interrupt(Callback):
    def on_batch_end(self, net, training=False, **_):
        if training and len(net.history) == 4:
            signal.raise_signal(signal.SIGINT)


def fit(estimator, X):
    labels = {"y": groups(X)} if isinstance(estimator, TwoGroups) else {}
    return estimator.fit(X, **labels)


def killed_after(estimator, X, n_epochs, monkeypatch):
    """Fit a copy, whose process ends after some epochs, with their checkpoint."""
    save, done = skae._checkpoint.Checkpoint.save, []

    def save_and_end(checkpoint, state):
        save(checkpoint, state)
        done.append(state)
        if len(done) == n_epochs:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(skae._checkpoint.Checkpoint, "save", save_and_end)
        with pytest.raises(Killed):
            fit(clone(estimator), X)


def assert_same_fit(one, other, X):
    for a, b in zip(tensors_of(one.module_), tensors_of(other.module_), strict=True):
        assert torch.equal(a, b)
    if hasattr(one, "loss_curve_"):
        assert one.loss_curve_ == other.loss_curve_
    assert np.array_equal(one.score_samples(X), other.score_samples(X))


WITH_CHECKPOINT = [
    pytest.param(one, parameters, id=f"{one.__name__}-{'-'.join(parameters)}")
    for one, parameters in VARIANTS
    if has(one, "checkpoint")
]


@pytest.mark.parametrize(("estimator_class", "parameters"), WITH_CHECKPOINT)
def test_a_killed_fit_ends_with_the_same_bits(
    estimator_class, parameters, table, tmp_path, monkeypatch
):
    estimator = quick(estimator_class, batch_size=40, **parameters)
    straight = fit(clone(estimator), table)
    estimator.set_params(checkpoint=tmp_path / "fit")
    killed_after(estimator, table, 2, monkeypatch)
    assert_same_fit(straight, fit(clone(estimator), table), table)


def test_at_any_epoch_with_patience_and_best_weights(table, tmp_path, monkeypatch):
    estimator = DenoisingAutoencoder(
        3,
        learning_rate=0.05,
        learning_rate_schedule="plateau",
        early_stopping=True,
        n_iter_no_change=4,
        tol=1e-3,
        max_iter=60,
        batch_size=60,
        random_state=0,
    )
    straight = clone(estimator).fit(table)
    assert straight.n_iter_ < 60  # so that patience and best weights had a say
    for n_epochs in (1, straight.n_iter_ // 2, straight.n_iter_):  # the last one ends patience
        estimator.set_params(checkpoint=tmp_path / f"{n_epochs}")
        killed_after(estimator, table, n_epochs, monkeypatch)
        assert_same_fit(straight, clone(estimator).fit(table), table)


def test_without_a_seed_it_goes_on_with_its_draws(table, tmp_path, monkeypatch):
    """Its validation rows and its noise are those that it began with."""
    estimator = quick(DenoisingAutoencoder, early_stopping=True, checkpoint=tmp_path)
    estimator.set_params(random_state=None)
    killed_after(estimator, table, 2, monkeypatch)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "checkpoint.safetensors").write_bytes(
        (tmp_path / "checkpoint.safetensors").read_bytes()
    )
    one = clone(estimator).fit(table)
    other = clone(estimator).set_params(checkpoint=tmp_path / "copy").fit(table)
    assert_same_fit(one, other, table)
    assert one.validation_loss_curve_ == other.validation_loss_curve_


SCRIPT = """
import sys
import numpy as np
from skae import {name}
X = np.random.default_rng(0).random((400, 30))
{name}(8, random_state=0, checkpoint=sys.argv[1], **{parameters}).fit(X)
"""


def test_a_killed_process(tmp_path):
    parameters = {"max_iter": 300, "tol": 0, "n_iter_no_change": 300, "checkpoint_every": 3}
    script = SCRIPT.format(name="Autoencoder", parameters=parameters)
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    file = tmp_path / "checkpoint.safetensors"
    while not file.exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with safe_open(file, framework="pt") as saved:  # whole, whenever it was
        assert saved.metadata()
    X = np.random.default_rng(0).random((400, 30))
    estimator = Autoencoder(8, random_state=0, checkpoint=tmp_path, **parameters)
    n_epochs = len(skae._checkpoint.Checkpoint(tmp_path, 1, {})._saved["state"]["history"])
    assert 0 < n_epochs < 300
    estimator.fit(X)
    assert_same_fit(clone(estimator).set_params(checkpoint=None).fit(X), estimator, X)


@pytest.mark.parametrize("cls", [Autoencoder, DeepBeliefNetwork])
def test_a_finished_fit_is_taken_as_it_is(cls, table, tmp_path):
    fitted = quick(cls, checkpoint=tmp_path).fit(table)
    with pytest.warns(UserWarning, match="holds the result of this fit"):
        again = quick(cls, checkpoint=tmp_path).fit(table)
    assert_same_fit(fitted, again, table)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda one, X: one.set_params(learning_rate=0.1).fit(X), "learning_rate"),
        (lambda one, X: one.set_params(hidden_layers=(7,)).fit(X), "hidden_layers"),
        (lambda one, X: one.fit(X[1:]), "the training rows"),
        (lambda one, X: one.fit(X, sample_weight=np.arange(len(X))), "the training rows"),
        (lambda one, X: one.fit(X, X_val=X[:9]), "X_val"),
        (lambda one, X: quick(DenoisingAutoencoder, checkpoint=one.checkpoint).fit(X), "estimator"),
    ],
)
def test_another_fit_is_refused(change, difference, table, tmp_path):
    quick(Autoencoder, checkpoint=tmp_path).fit(table)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    estimator = quick(Autoencoder, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=f"another fit: it differs in .*{difference}"):
        change(estimator, table)
    assert not hasattr(estimator, "module_")
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_another_version_is_refused(table, tmp_path, monkeypatch):
    quick(Autoencoder, checkpoint=tmp_path).fit(table)
    monkeypatch.setattr("skae.__version__", "99.0")
    with pytest.raises(ValueError, match="the version of skae"):
        quick(Autoencoder, checkpoint=tmp_path).fit(table)


@pytest.mark.parametrize("damage", [lambda b: b[:-50], lambda b: b"", lambda b: b"x" * len(b)])
def test_a_damaged_checkpoint_is_named(damage, table, tmp_path):
    quick(Autoencoder, checkpoint=tmp_path).fit(table)
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=r"checkpoint\.safetensors' cannot be read .*; delete it"):
        quick(Autoencoder, checkpoint=tmp_path).fit(table)


def test_a_full_disk_loses_nothing(table, tmp_path, monkeypatch):
    straight = quick(Autoencoder).fit(table)
    write, calls = skae._checkpoint.save_file, []

    def full_from_the_third_on(tensors, path, metadata):
        calls.append(path)
        if len(calls) > 2:
            path.write_bytes(b"half of it")
            raise OSError(28, "No space left on device")
        write(tensors, path, metadata)

    with monkeypatch.context() as patch:
        patch.setattr(skae._checkpoint, "save_file", full_from_the_third_on)
        with pytest.warns(UserWarning, match=r"of epoch 3 cannot be written .*No space") as caught:
            fitted = quick(Autoencoder, checkpoint=tmp_path).fit(table)
    assert sum("cannot be written" in str(one.message) for one in caught) == 1
    assert_same_fit(straight, fitted, table)
    assert os.listdir(tmp_path) == ["checkpoint.safetensors"]  # of the second epoch
    assert_same_fit(straight, quick(Autoencoder, checkpoint=tmp_path).fit(table), table)


def test_ctrl_c_leaves_what_the_next_call_goes_on_from(table, tmp_path):
    estimator = quick(Autoencoder, checkpoint=tmp_path, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(table)
    assert estimator.n_iter_ == 3
    estimator.set_params(callbacks=None).fit(table)
    assert_same_fit(quick(Autoencoder).fit(table), estimator, table)


def test_a_warm_start_goes_on_in_the_same_folder(table, tmp_path, monkeypatch):
    settings = {"warm_start": True}
    straight = quick(Autoencoder, **settings).fit(table).fit(table)
    estimator = quick(Autoencoder, checkpoint=tmp_path, **settings).fit(table)
    first = dict(vars(estimator))
    save = skae._checkpoint.Checkpoint.save

    def save_and_end(checkpoint, state):
        save(checkpoint, state)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(skae._checkpoint.Checkpoint, "save", save_and_end)
        with pytest.raises(Killed):
            estimator.fit(table)
    vars(estimator).update(first)
    assert_same_fit(straight, estimator.fit(table), table)
    with pytest.raises(ValueError, match="warm_start goes on from"):
        quick(Autoencoder, checkpoint=tmp_path, **settings).fit(table)


def test_ctrl_c_with_a_warm_start_is_no_obstacle(table, tmp_path):
    estimator = quick(Autoencoder, checkpoint=tmp_path, warm_start=True, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(table)
    straight = clone(estimator).set_params(checkpoint=None)
    with pytest.raises(KeyboardInterrupt):
        straight.fit(table)
    for one in (estimator, straight):
        one.set_params(callbacks=None).fit(table)
    assert_same_fit(straight, estimator, table)


def test_a_pretrained_network(table, tmp_path, monkeypatch):
    estimator = quick(Autoencoder, hidden_layers=(4,), pretrain=True)
    straight = clone(estimator).fit(table)
    estimator.set_params(checkpoint=tmp_path)
    killed_after(estimator, table, 2, monkeypatch)
    assert_same_fit(straight, clone(estimator).fit(table), table)


def test_the_same_numbers_of_another_kind(table, tmp_path):
    quick(Autoencoder, hidden_layers=(4,), learning_rate=0.01, checkpoint=tmp_path).fit(table)
    settings = {"hidden_layers": [np.int64(4)], "learning_rate": np.float64(0.01)}
    with pytest.warns(UserWarning, match="holds the result of this fit"):
        quick(Autoencoder, checkpoint=tmp_path, **settings).fit(table)


def test_what_callbacks_note_does_not_stop_it(table, tmp_path):
    class Notes(Callback):
        def on_epoch_end(self, net, **_):
            net.history.record("number", np.float64(0.5))
            net.history.record("array", np.array(["a", "b"]))
            net.history.record("dict", {(0, 1): {"__tensor__": 3}})

    quick(Autoencoder, checkpoint=tmp_path, callbacks=[Notes()]).fit(table)
    with pytest.warns(UserWarning, match="holds the result of this fit"):
        again = quick(Autoencoder, checkpoint=tmp_path).fit(table)
    assert again.history_["number"] == [0.5] * 5


def test_a_file_is_no_folder(table, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="checkpoint must be a folder"):
        quick(Autoencoder, checkpoint=tmp_path / "file").fit(table)


def test_layers_of_a_network_are_their_own_afterwards(table, tmp_path):
    network = quick(DeepBeliefNetwork, checkpoint=tmp_path).fit(table)
    with pytest.raises(ValueError, match="another fit"):
        network.rbms_[0].set_params(learning_rate=0.5).fit(table)


def test_every_few_epochs(table, tmp_path, monkeypatch):
    epochs = []
    write = skae._checkpoint.save_file

    def note(tensors, path, metadata):
        write(tensors, path, metadata)
        epochs.append(path)

    monkeypatch.setattr(skae._checkpoint, "save_file", note)
    estimator = quick(BernoulliRBM, checkpoint=tmp_path, checkpoint_every=2, n_iter=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(table)
    assert len(epochs) == 3  # after 2 and 4 epochs, and the result
