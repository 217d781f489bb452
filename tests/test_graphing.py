"""Steps replayed as CUDA graphs; on the CPU with a stand-in that calls the function again."""

import numpy as np
import pytest
import torch

from skae import Autoencoder, DenoisingAutoencoder, config_context, fit_many
from skae._training import _graphing
from skae.layers import Dense


@pytest.fixture
def X():
    return np.random.default_rng(0).random((300, 20), dtype=np.float32)


@pytest.fixture
def n_replays(monkeypatch):
    """Let the CPU have graphs, too."""
    replays = []

    def capture(function, device):
        for _ in range(_graphing._N_WARMING_UP):
            function()
        results = [result.clone() for result in function()]

        def replay():
            replays.append(1)
            for result, new in zip(results, function(), strict=True):
                result.copy_(new)

        return replay, results

    monkeypatch.setattr(_graphing, "_can_capture", lambda passing: True)
    monkeypatch.setattr(_graphing, "_capture", capture)
    return replays


def population(device="cpu"):
    layers = Dense((10,), batch_norm=True, dropout=0.1)  # with buffers that steps change
    settings = {"hidden_layers": layers, "max_iter": 6, "tol": 0, "device": device}
    return [DenoisingAutoencoder(4, random_state=seed, **settings) for seed in range(4)]


def assert_same_bits(some, others):
    for one, other in zip(some, others, strict=True):
        assert one.loss_curve_ == other.loss_curve_
        for name, value in one.module_.state_dict().items():
            assert torch.equal(value, other.module_.state_dict()[name])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("fit", [fit_many, lambda some, X: [one.fit(X) for one in some]])
def test_a_replayed_step_is_a_recorded_step(X, n_replays, fit, request):
    some, others = population(), population()
    fit(some, X)
    assert len(n_replays) > 6
    request.getfixturevalue("monkeypatch").undo()
    fit(others, X)
    assert_same_bits(some, others)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.usefixtures("n_replays")
def test_what_cannot_be_captured_runs_without(X, monkeypatch):
    def fail(function, device):
        function()
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    monkeypatch.setattr(_graphing, "_capture", fail)
    some, others = population(), population()
    fit_many(some, X)
    monkeypatch.undo()
    fit_many(others, X)
    assert_same_bits(some, others)


def test_nothing_is_captured_on_a_cpu(X, monkeypatch):
    monkeypatch.setattr(_graphing, "_capture", None)
    Autoencoder(2, max_iter=4, tol=1, random_state=0).fit(X)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that CUDA can use")
def test_a_graph_on_a_gpu(X, monkeypatch):
    n_captured, capture = [], _graphing._capture

    def counted(*arguments):
        n_captured.append(1)
        return capture(*arguments)

    monkeypatch.setattr(_graphing, "_capture", counted)
    some = fit_many(population("cuda"), X)
    assert n_captured
    with config_context(record_steps=False):
        others = fit_many(population("cuda"), X)
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-4)
