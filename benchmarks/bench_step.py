"""A training step of small nets, recorded and not, beside a bare torch loop and its peers.

scikit-learn's digits (1797 x 64), batch 128, Adam, ReLU: microseconds per step. All
candidates take equally many steps an epoch. skae trains nets this small with one
thread, so the bare torch loop has one thread too; for the denoising autoencoder it draws
noise, too. All of `fit` counts, the recording included. Last come whole fits with default
parameters, and the first fit in a process beside the second.

Command: ``python benchmarks/bench_step.py [--rounds 9] [--epochs 60]``
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
import torch
from _common import (
    arguments,
    bare_loop,
    interleave,
    make_network,
    n_steps,
    print_limit,
    print_ratio_limit,
    print_table,
    threads,
    time_rows,
)
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPRegressor
from skorch import NeuralNet
from torch import nn

from skae import Autoencoder, ContractiveAutoencoder, DenoisingAutoencoder, config_context

SMALL, DEEP = (64, 32, 64), (64, 128, 32, 128, 64)
BATCH_SIZE = 128

FIRST_FIT = """
import time, warnings
from sklearn.datasets import load_iris
from skae import Autoencoder
warnings.simplefilter("ignore")
X = load_iris().data
for _ in range(2):
    start = time.perf_counter()
    Autoencoder(2).fit(X)
    print(time.perf_counter() - start)
"""


class TensorBatches:
    """An iterator for skorch that slices tensors instead of collecting rows."""

    def __init__(self, dataset: Any, batch_size: int):
        self.rows = torch.from_numpy(dataset.X)
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for index in torch.randperm(len(self.rows)).split(self.batch_size):
            x = self.rows[index]
            yield x, x


def fit_skorch(X: np.ndarray, n_epochs: int, **settings: Any) -> None:
    NeuralNet(
        make_network(SMALL),
        criterion=nn.MSELoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=1e-3,
        batch_size=BATCH_SIZE,
        max_epochs=n_epochs,
        train_split=None,
        verbose=0,
        **settings,
    ).fit(X, X)


def not_recorded(fit: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        with config_context(record_steps=False):
            fit()

    return run


def time_steps(X: np.ndarray, n_epochs: int, rounds: int) -> None:
    all_epochs = dict(
        batch_size=BATCH_SIZE, max_iter=n_epochs, tol=0, n_iter_no_change=n_epochs + 1
    )

    def skae(kind: type[Autoencoder], widths: tuple[int, ...]) -> Callable[[], Any]:
        layers = {"hidden_layers": widths[1 : len(widths) // 2], "code_activation": "relu"}
        return lambda: kind(widths[len(widths) // 2], device="cpu", **layers, **all_epochs).fit(X)

    def bare(widths: tuple[int, ...], noise_level: float = 0.0) -> Callable[[], Any]:
        def run() -> None:
            with threads(1):
                bare_loop(X, widths, BATCH_SIZE, n_epochs, noise_level)

        return run

    def mlp(widths: tuple[int, ...]) -> Callable[[], Any]:
        net = {"hidden_layer_sizes": widths[1:-1], "alpha": 0}
        return lambda: MLPRegressor(**net, **all_epochs).fit(X, X)

    contractive = skae(ContractiveAutoencoder, DEEP)
    tables: list[tuple[str, dict[str, Callable[[], Any]]]] = [
        (
            "64-32-64",
            {
                "skae": skae(Autoencoder, SMALL),
                "skae, not recorded": not_recorded(skae(Autoencoder, SMALL)),
                "bare loop": bare(SMALL),
                "MLPRegressor": mlp(SMALL),
                "skorch, tensor iterator": lambda: fit_skorch(
                    X, n_epochs, iterator_train=TensorBatches
                ),
                "skorch, default": lambda: fit_skorch(X, n_epochs, iterator_train__shuffle=True),
            },
        ),
        (
            "64-32-64, denoising",
            {
                "skae": skae(DenoisingAutoencoder, SMALL),
                "skae, not recorded": not_recorded(skae(DenoisingAutoencoder, SMALL)),
                "bare loop": bare(SMALL, noise_level=0.3),
            },
        ),
        (
            "64-128-32-128-64",
            {
                "skae": skae(Autoencoder, DEEP),
                "skae, not recorded": not_recorded(skae(Autoencoder, DEEP)),
                "bare loop": bare(DEEP),
                "MLPRegressor": mlp(DEEP),
            },
        ),
        (
            "64-128-32-128-64, contractive",
            {"skae": contractive, "skae, not recorded": not_recorded(contractive)},
        ),
    ]
    steps = n_epochs * n_steps(len(X), BATCH_SIZE)
    limits = {"64-128-32-128-64": 0.55}
    for net, candidates in tables:
        times = interleave(candidates, rounds)
        baseline = "bare loop" if "bare loop" in candidates else "skae, not recorded"
        print_table(
            f"A step: digits, net {net}, batch {BATCH_SIZE}, {steps} steps",
            ["", "us per step", "spread", f"/ {baseline}"],
            time_rows(times, lambda seconds: f"{1e6 * seconds / steps:.1f}", [baseline]),
        )
        print_ratio_limit(
            times, "skae", baseline, 0.4 if "contractive" in net else limits.get(net, 0.45)
        )
        if net == "64-32-64":
            print_ratio_limit(times, "skae", "MLPRegressor", 0.6)


def time_fits(X: np.ndarray, rounds: int) -> None:
    kinds = (Autoencoder, DenoisingAutoencoder, ContractiveAutoencoder)
    rows = []
    for kind in kinds:
        fit = lambda kind=kind: kind(random_state=0, device="cpu").fit(X)  # noqa: E731
        times = interleave({kind.__name__: fit, "not recorded": not_recorded(fit)}, rounds)
        rows += time_rows(times, lambda seconds: f"{seconds:.2f}", ["not recorded"])[:1]
    print_table(
        "A fit on digits with default parameters", ["", "s", "spread", "/ not recorded"], rows
    )


def time_first_fit(rounds: int) -> None:
    command = [sys.executable, "-c", FIRST_FIT]
    seconds = [
        list(map(float, subprocess.run(command, capture_output=True, check=True).stdout.split()))
        for _ in range(rounds)
    ]
    difference = median(first - second for first, second in seconds)
    print_limit("the first fit of a process beyond the second, iris", difference, 0.3, " s")


def main() -> None:
    options = arguments(__doc__, rounds=9, epochs=60)
    X = (load_digits().data / 16).astype(np.float32)
    time_steps(X, options.epochs, options.rounds)
    time_fits(X, max(3, options.rounds // 3))
    time_first_fit(options.rounds)


if __name__ == "__main__":
    main()
