"""Searches that train their candidates as one batch, beside scikit-learn's `GridSearchCV`.

- ``search``: digits, 24 candidates (4 learning rates x 3 noise levels x 2 weight decays) x 5 folds
  of a pipeline of scaler, denoising autoencoder and linear SVM, beside the same search one fit at
  a time in two processes, with and without recorded steps; and the training alone, without the
  SVM. Both searches have the same results, which is checked.
- ``population``: 256 autoencoders of 64-32-64 by `fit_many`, beside a bare torch loop for each, in
  one thread.
- ``single``: a search with one candidate, which has little to share.
- ``memory``: how the peak of memory grows with the models in flight, beside the formula of
  `fit_many`.

On 2 cores of an AMD EPYC (November 2026): 64-32-64 takes 0.56 of the recorded search and 0.22 of
the one without recorded steps, and 256 autoencoders with a seed each have 6.4 times the throughput
of a bare loop. The net with hidden layers of 128, whose steps are mostly matrix products, took 0.99
and 0.71 before large results had memory that is kept. A single candidate takes 1.00. The peak of
memory of 8, 16, 32 and 64 models is 1.58, 1.42, 1.45 and 1.06 times the formula (one round).

Command: ``python benchmarks/bench_search.py [search] [population] [single] [memory] [--rounds 3]``
"""

import argparse
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _common import (
    bare_loop,
    in_fresh_process,
    interleave,
    peak_growth,
    print_ratio_limit,
    print_table,
    threads,
    time_rows,
)
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import LinearSVC

import skae
from skae import Autoencoder, DenoisingAutoencoder, fit_many
from skae._training import _memory
from skae.model_selection import BatchedGridSearchCV

LEARNERS = {
    "64-32-64": DenoisingAutoencoder(32, hidden_layers=(), random_state=0),
    "64-128-64-128-64": DenoisingAutoencoder(64, random_state=0),
}

# Bars of the whole search and of its training: with recorded steps off, and on.
BARS = {"64-32-64": ((3.5, 1.7), (5.0, 2.0)), "64-128-64-128-64": ((2.2, 1.2), (2.7, 1.3))}

GRID = {
    "learner__learning_rate": [1e-3, 2e-3, 5e-3, 1e-2],
    "learner__noise_level": [0.1, 0.2, 0.3],
    "learner__weight_decay": [1e-5, 1e-4],
}


class Unrecorded(DenoisingAutoencoder):
    """The setting does not reach the worker processes of joblib."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Fit without recorded steps."""
        with skae.config_context(record_steps=False):
            return super().fit(X, y)


def no_score(estimator: Any, X: Any, y: Any = None) -> float:
    return 0.0


def search(rounds: int) -> None:
    X, y = load_digits(return_X_y=True)
    for name, learner in LEARNERS.items():
        unrecorded = Unrecorded(**learner.get_params(deep=False))
        for part, steps in (("whole search", [("classify", LinearSVC())]), ("training", [])):
            settings = {"refit": False, "scoring": None if steps else no_score}
            scores: dict[str, np.ndarray] = {}

            def run(
                kind: type,
                one: Any,
                label: str,
                steps: list[Any] = steps,
                settings: dict[str, Any] = settings,
                scores: dict[str, np.ndarray] = scores,
            ) -> Callable[[], None]:
                def fit() -> None:
                    pipeline = Pipeline([("scale", MinMaxScaler()), ("learner", one), *steps])
                    n_jobs = 2 if steps or kind is GridSearchCV else None
                    found = kind(clone(pipeline), GRID, n_jobs=n_jobs, **settings).fit(X, y)
                    scores[label] = found.cv_results_["mean_test_score"]

                return fit

            times = interleave(
                {
                    "batched": run(BatchedGridSearchCV, learner, "batched"),
                    "recorded": run(GridSearchCV, learner, "recorded"),
                    "not recorded": run(GridSearchCV, unrecorded, "not recorded"),
                },
                rounds,
            )
            off, on = BARS[name][not steps]
            columns = ["", "s", "spread", "/ recorded", "/ not recorded"]
            rows = time_rows(times, "{:.1f}".format, ["recorded", "not recorded"])
            print_table(f"{name}, {part}: 24 candidates x 5 folds", columns, rows)
            print_ratio_limit(times, "batched", "recorded", 1 / on)
            print_ratio_limit(times, "batched", "not recorded", 1 / off)
            difference = np.abs(scores["batched"] - scores["recorded"]).max()
            print(f"largest difference of a mean score: {difference:.1e}\n", flush=True)


def population(rounds: int) -> None:
    X = (load_digits().data / 16).astype(np.float32)
    n_models, n_bare, n_epochs = 256, 8, 40
    settings = {"hidden_layers": (), "batch_size": 128, "max_iter": n_epochs, "random_state": 0}

    def together() -> None:
        rates, decays = np.geomspace(1e-4, 1e-2, 16), np.geomspace(1e-6, 1e-3, 16)
        grid = itertools.product(rates, decays)
        fit_many([Autoencoder(32, learning_rate=r, weight_decay=d, **settings) for r, d in grid], X)

    def bare() -> None:
        for _ in range(n_bare):
            bare_loop(X, (64, 32, 64), 128, n_epochs)

    with threads(1):
        times = interleave({"fit_many": together, "bare loop": bare}, rounds)
    times["bare loop"] = [seconds * n_models / n_bare for seconds in times["bare loop"]]
    rows = time_rows(times, "{:.1f}".format, ["bare loop"])
    title = f"{n_models} autoencoders of 64-32-64, {n_epochs} epochs, one thread"
    print_table(title, ["", "s", "spread", "/ bare loop"], rows)
    print_ratio_limit(times, "fit_many", "bare loop", 1 / 5)


def single(rounds: int) -> None:
    X, y = load_digits(return_X_y=True)
    grid = {"denoisingautoencoder__noise_level": [0.2]}
    pipeline = make_pipeline(MinMaxScaler(), LEARNERS["64-32-64"], LinearSVC())
    times = interleave(
        {
            "batched": lambda: BatchedGridSearchCV(pipeline, grid).fit(X, y),
            "GridSearchCV": lambda: GridSearchCV(pipeline, grid).fit(X, y),
        },
        rounds,
    )
    rows = time_rows(times, "{:.2f}".format, ["GridSearchCV"])
    print_table("A single candidate", ["", "s", "spread", "/ GridSearchCV"], rows)
    print_ratio_limit(times, "batched", "GridSearchCV", 1.1)


def growth(n_models: int) -> tuple[int, int]:
    """Return by how much the peak grows with so many models at a time, and by the formula."""
    X = np.random.default_rng(0).random((2000, 256), dtype=np.float32)
    settings = {"hidden_layers": (256,), "max_iter": 2, "batch_size": 500}
    sizes = []

    def noted(member: Any) -> tuple[int, int]:
        sizes.append(bytes_of(member))
        return sizes[-1]

    bytes_of, _memory.bytes_of = _memory.bytes_of, noted
    with threads(1):
        fit_many([Autoencoder(64, random_state=seed, **settings) for seed in range(2)], X)
        some = [Autoencoder(64, random_state=seed, **settings) for seed in range(n_models)]
        measured = peak_growth(lambda: fit_many(some, X, n_batched=n_models))
    weights, computed = sizes[0]
    return measured, n_models * (11 * weights + 2 * computed)


def memory(rounds: int) -> None:
    rows = []
    for n_models in (8, 16, 32, 64):
        measured, formula = in_fresh_process(growth, n_models)
        numbers = f"{measured / 2**20:.0f}", f"{formula / 2**20:.0f}", f"{measured / formula:.2f}"
        rows.append([str(n_models), *numbers])
    print_table("Peak of memory, 256-256-64-256-256", ["models", "MiB", "formula", "ratio"], rows)


PARTS = {"search": search, "population": population, "single": single, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.manual_seed(0)
    for name in given.parts:
        PARTS[name](given.rounds)


if __name__ == "__main__":
    main()
