"""Overhead of one training step: a net so small that the mathematics hardly counts.

scikit-learn's digits (1797 x 64), net 64-32-64, batch 128, Adam: microseconds per step.
All candidates take equally many steps an epoch. skae trains a net this small with one
thread, so the bare torch loop is measured with one thread too. All of `fit` counts.

Command: ``python benchmarks/bench_step.py [--rounds 15] [--epochs 100]``
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from _common import (
    arguments,
    bare_loop,
    interleave,
    make_network,
    n_steps,
    print_ratio_limit,
    print_table,
    threads,
    time_rows,
)
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPRegressor
from skorch import NeuralNet
from torch import nn

from skae import Autoencoder

WIDTHS = (64, 32, 64)
BATCH_SIZE = 128


class TensorBatches:
    """An iterator for skorch that slices tensors instead of collecting rows."""

    def __init__(self, dataset: Any, batch_size: int):
        self.rows = torch.from_numpy(dataset.X)
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for index in torch.randperm(len(self.rows)).split(self.batch_size):
            x = self.rows[index]
            yield x, x


def make_skorch(n_epochs: int, **settings: Any) -> NeuralNet:
    return NeuralNet(
        make_network(WIDTHS),
        criterion=nn.MSELoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=1e-3,
        batch_size=BATCH_SIZE,
        max_epochs=n_epochs,
        train_split=None,
        verbose=0,
        **settings,
    )


def main() -> None:
    options = arguments(__doc__, rounds=15, epochs=100)
    X = (load_digits().data / 16).astype(np.float32)
    epochs = options.epochs
    run_all_epochs = dict(
        batch_size=BATCH_SIZE, max_iter=epochs, tol=0, n_iter_no_change=epochs + 1
    )

    def fit_skae() -> None:
        Autoencoder(
            32, hidden_layers=(), code_activation="relu", device="cpu", **run_all_epochs
        ).fit(X)

    def fit_bare() -> None:
        bare_loop(X, WIDTHS, BATCH_SIZE, epochs)

    def fit_bare_one_thread() -> None:
        with threads(1):
            fit_bare()

    def fit_skorch() -> None:
        make_skorch(epochs, iterator_train__shuffle=True).fit(X, X)

    def fit_skorch_tensors() -> None:
        make_skorch(epochs, iterator_train=TensorBatches).fit(X, X)

    def fit_mlp() -> None:
        MLPRegressor(hidden_layer_sizes=WIDTHS[1:-1], alpha=0, **run_all_epochs).fit(X, X)

    default, one = "bare loop, default threads", "bare loop, one thread"
    times = interleave(
        {
            "skae": fit_skae,
            default: fit_bare,
            one: fit_bare_one_thread,
            "skorch, tensor iterator": fit_skorch_tensors,
            "skorch, default": fit_skorch,
            "MLPRegressor": fit_mlp,
        },
        options.rounds,
    )
    steps = epochs * n_steps(len(X), BATCH_SIZE)
    print_table(
        f"Step overhead: digits, net 64-32-64, batch {BATCH_SIZE}, {steps} steps",
        ["", "us per step", "spread", "/ bare, default threads", "/ bare, one thread"],
        time_rows(times, lambda seconds: f"{1e6 * seconds / steps:.1f}", [default, one]),
    )
    print_ratio_limit(times, "skae", default, 1.15)
    print_ratio_limit(times, "skae", one, 1.15)


if __name__ == "__main__":
    main()
