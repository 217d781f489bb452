"""Restricted Boltzmann machines beside scikit-learn's: one more epoch, and the whole of a fit.

784 features that are 0 or 1, and for all but the batch size the defaults of both classes.

- Epoch: what one more epoch over 20,000 rows costs, from fits of three epochs and of one. It
  includes what is recorded after each epoch. The lower bound is the matrix products of an epoch
  without anything between them.
- Fit: all of ``fit`` with one epoch over 10,000 rows, with validation, the start, the order of
  the rows, copies of the weights, and what is recorded of the epoch.

Command: ``python benchmarks/bench_rbm.py [--rounds 5]``
"""

import time
from functools import partial
from typing import Any

import numpy as np
import sklearn.neural_network
import torch
from _common import Times, arguments, interleave, print_limit, print_table, ratio, time_rows

import skae

N_ROWS, N_ROWS_OF_FIT, N_FEATURES, N_COMPONENTS = 20_000, 10_000, 784, 256
#: By batch size, how many times faster than scikit-learn's an epoch, and a fit, is to be.
EPOCH_TO_REACH = {10: 3.0, 100: 2.0, 500: 1.5}
FIT_TO_REACH = {10: 3.0, 100: 1.7, 500: 1.3}


def products(batch_size: int) -> None:
    """Run the three matrix products of each step of an epoch, two of them over both phases."""
    weight = torch.zeros(N_COMPONENTS, N_FEATURES)
    v, h = torch.rand(2 * batch_size, N_FEATURES), torch.rand(2 * batch_size, N_COMPONENTS)
    for _ in range(N_ROWS // batch_size):
        torch.mm(h[:batch_size], weight)
        torch.mm(v, weight.T)
        weight.addmm_(h.T, v, alpha=1e-9)  # with 0 it would be left out


def seconds_of_fit(machine: Any, X: np.ndarray, n_iter: int) -> float:
    """Return how long a fit takes."""
    start = time.perf_counter()
    machine.set_params(n_iter=n_iter).fit(X)
    return time.perf_counter() - start


def seconds_of_epoch(machine: Any, X: np.ndarray) -> float:
    """Return what one more epoch takes."""
    return (seconds_of_fit(machine, X, 3) - seconds_of_fit(machine, X, 1)) / 2


def show(times: Times, title: str, baselines: list[str], to_reach: float) -> None:
    rows = time_rows(times, lambda seconds: f"{seconds:.2f} s", baselines)
    print_table(title, ["", "median", "spread", *(f"/ {name}" for name in baselines)], rows)
    print_limit("skae / scikit-learn", ratio(times, "skae", "scikit-learn"), 1 / to_reach)


def main() -> None:
    rounds = arguments(__doc__, rounds=5).rounds
    X = (np.random.default_rng(0).random((N_ROWS, N_FEATURES)) < 0.2).astype(np.float32)
    for batch_size in EPOCH_TO_REACH:
        settings = {"batch_size": batch_size, "random_state": 0}
        machines = {
            "skae": skae.BernoulliRBM(device="cpu", **settings),
            "scikit-learn": sklearn.neural_network.BernoulliRBM(**settings),
        }
        centred = skae.BernoulliRBM(device="cpu", centered=True, **settings)
        epochs = {
            name: partial(seconds_of_epoch, machine, X)
            for name, machine in {**machines, "skae, centered=True": centred}.items()
        }
        epochs["matrix products"] = partial(products, batch_size)
        show(
            interleave(epochs, rounds),
            f"Another epoch of {N_ROWS:,} x {N_FEATURES}, batches of {batch_size}",
            ["scikit-learn", "matrix products"],
            EPOCH_TO_REACH[batch_size],
        )
        fits = {
            name: partial(seconds_of_fit, machine, X[:N_ROWS_OF_FIT], 1)
            for name, machine in machines.items()
        }
        show(
            interleave(fits, rounds),
            f"A fit of one epoch of {N_ROWS_OF_FIT:,} x {N_FEATURES}, batches of {batch_size}",
            ["scikit-learn"],
            FIT_TO_REACH[batch_size],
        )


if __name__ == "__main__":
    main()
