"""Self-organising maps: seconds an epoch, how good the maps are, and how cost grows.

Each peer that is installed (``pip install -e '.[bench]'``) runs on the same rows, map and
number of epochs; one that is not is named as missing. Epochs are timed as the difference
between a long and a short fit, so that starts and imports do not count. Every map is
measured by the same code, from its prototypes.

- speed: 20,000 x 50 standard normal float32, a 20 x 20 map; the floor is the matrix
  product of a winner search alone;
- blobs: 16,000 x 300, a 25 x 15 map with a PCA start, 100 epochs, the radius ending at 1: with
  the default end the quantisation error is lower and the topographic error higher;
- fcps: the ten sets of the Fundamental Clustering Problems Suite (Ultsch 2005), default
  parameters (whose radii were chosen on these sets), where the
  environment variable SKAE_DATA names a folder with ``fcps/*.npz``;
- growth: an epoch over more and more rows, features and units; the picture goes to
  ``benchmarks/output/som_growth.png`` if matplotlib is installed.

Command: ``python benchmarks/bench_som.py [--speed 1] [--blobs 1] [--fcps 1] [--growth 1]
[--rounds 5] [--seeds 5]``; 0 leaves a part out.
"""

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from _common import (
    arguments,
    installed,
    interleave,
    print_limit,
    print_ratio_limit,
    print_table,
    time_rows,
)
from sklearn.datasets import make_blobs

from skae import SelfOrganizingMap
from skae.som import quantization_error, topographic_error

Train = Callable[[np.ndarray, tuple[int, int], int, int], np.ndarray]


# -- the candidates: each returns prototypes of shape (n_units, n_features) -----------------


def train_skae(X: np.ndarray, shape: tuple[int, int], n_iter: int, seed: int) -> np.ndarray:
    som = SelfOrganizingMap(shape, n_iter=n_iter, random_state=seed, device="cpu").fit(X)
    return som.codebook_


def train_minisom(X: np.ndarray, shape: tuple[int, int], n_iter: int, seed: int) -> np.ndarray:
    from minisom import MiniSom

    som = MiniSom(*shape, X.shape[1], random_seed=seed)
    som.train(X, n_iter * len(X), random_order=True)
    return som.get_weights()


def train_torchsom(X: np.ndarray, shape: tuple[int, int], n_iter: int, seed: int) -> np.ndarray:
    return _torchsom(X, shape, n_iter, seed)


def train_torchsom_512(X: np.ndarray, shape: tuple[int, int], n_iter: int, seed: int) -> np.ndarray:
    return _torchsom(X, shape, n_iter, seed, batch_size=512)


def _torchsom(
    X: np.ndarray, shape: tuple[int, int], n_iter: int, seed: int, **settings: Any
) -> np.ndarray:
    from torchsom import SOM

    som = SOM(*shape, X.shape[1], epochs=n_iter, random_seed=seed, device="cpu", **settings)
    rows = torch.from_numpy(X.astype(np.float32))
    if settings:
        som.initialize_weights(rows, mode="random")
    som.fit(rows, verbose=False)
    return som.weights.numpy(force=True)


def train_fastersom(X: np.ndarray, shape: tuple[int, int], n_iter: int, seed: int) -> np.ndarray:
    from fastersom import SOM

    return SOM(*shape, n_epochs=n_iter, random_state=seed, device="cpu").fit(X).weights_


def train_xpysom(X: np.ndarray, shape: tuple[int, int], n_iter: int, seed: int) -> np.ndarray:
    from xpysom import XPySom

    som = XPySom(*shape, X.shape[1], random_seed=seed, xp=np)
    som.train(X, n_iter)
    return som.get_weights()


def train_somoclu(X: np.ndarray, shape: tuple[int, int], n_iter: int, seed: int) -> np.ndarray:
    from somoclu import Somoclu

    som = Somoclu(shape[1], shape[0], verbose=0)
    som.train(X, epochs=n_iter)
    return som.codebook


def train_susi(X: np.ndarray, shape: tuple[int, int], n_iter: int, seed: int) -> np.ndarray:
    from susi import SOMClustering

    som = SOMClustering(*shape, n_iter_unsupervised=n_iter * len(X), random_state=seed)
    return som.fit(X).unsuper_som_


PEERS: dict[str, tuple[str, Train]] = {
    "fastersom": ("fastersom", train_fastersom),
    "XPySom": ("xpysom", train_xpysom),
    "somoclu": ("somoclu", train_somoclu),
    "TorchSOM, batch 512": ("torchsom", train_torchsom_512),
    "MiniSom": ("minisom", train_minisom),
    "susi": ("susi", train_susi),
}


def seconds_a_epoch(train: Train, X: np.ndarray, shape: tuple[int, int], long: int) -> float:
    """Return the difference between a fit of `long` epochs and one of a single epoch."""
    start = time.perf_counter()
    train(X, shape, 1, 0)
    middle = time.perf_counter()
    train(X, shape, 1 + long, 0)
    return (time.perf_counter() - middle - (middle - start)) / long


def seconds_a_product(rows: torch.Tensor, prototypes: torch.Tensor, n: int) -> float:
    """Return the mean of `n` products in succession, in all of torch's threads."""
    start = time.perf_counter()
    for _ in range(n):
        rows @ prototypes
    return (time.perf_counter() - start) / n


def measures(X: np.ndarray, prototypes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the quantisation and the topographic error of a map with these prototypes."""
    X = X.astype(np.float64)
    start = np.asarray(prototypes, dtype=np.float32).reshape(-1, X.shape[1])
    som = SelfOrganizingMap(shape, init=start, algorithm="online", n_iter=1, learning_rate=1e-30)
    som.fit(X[:1])  # does not move the prototypes
    return np.array([quantization_error(som, X), topographic_error(som, X)])


# -- the parts -----------------------------------------------------------------------------


def bench_speed(rounds: int) -> None:
    shape = 20, 20
    X = np.random.default_rng(0).normal(size=(20_000, 50)).astype(np.float32)
    rows, prototypes = torch.from_numpy(X), torch.randn(50, 400)
    candidates: dict[str, Callable[[], Any]] = {
        "skae": lambda: seconds_a_epoch(train_skae, X, shape, 50),
        "matrix product alone": lambda: seconds_a_product(rows, prototypes, 50),
    }
    epochs = {"MiniSom": 1, "susi": 1}
    for name, train in installed(PEERS).items():
        long = epochs.get(name, 5)
        if name == "susi":  # some ten seconds an epoch: measured on a tenth of one
            candidates[name] = lambda train=train: 10 * _time(train, X[:2000], shape, 1, 0)
        else:
            candidates[name] = lambda train=train, long=long: seconds_a_epoch(train, X, shape, long)
    times = interleave(candidates, rounds)
    print_table(
        "An epoch over 20,000 x 50, 20 x 20 map",
        ["", "ms", "spread", "/ skae"],
        time_rows(times, lambda seconds: f"{1e3 * seconds:.1f}", ["skae"]),
    )
    print_ratio_limit(times, "skae", "matrix product alone", 2)
    least = {"fastersom": 4, "XPySom": 4, "somoclu": 10, "TorchSOM, batch 512": 10, "MiniSom": 100}
    for name, factor in least.items():
        if name in times:
            print_ratio_limit(times, "skae", name, 1 / factor)


def _time(function: Callable[..., Any], *args: Any) -> float:
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def bench_blobs() -> None:
    shape, n_iter = (25, 15), 100
    # Four blobs whose spread puts the error of a good map where TorchSOM reports its own, 5.14.
    X, _ = make_blobs(16_000, 300, centers=4, cluster_std=0.3, random_state=0)
    X = X.astype(np.float32)
    start = time.perf_counter()
    # In so many dimensions of noise a smaller last radius has a large topographic error.
    som = SelfOrganizingMap(shape, n_iter=n_iter, radius=(12.5, 1.0), device="cpu").fit(X)
    seconds = time.perf_counter() - start
    error, topographic = measures(X, som.codebook_, shape)
    print("\nBlobs, 16,000 x 300, a 25 x 15 map, 100 epochs")
    print_limit("quantisation error", error, 5.14)
    print_limit("topographic error", topographic, 0.1)
    print_limit("seconds", seconds, 4, " s")


def bench_fcps(n_seeds: int) -> None:
    folder = Path(os.environ.get("SKAE_DATA", "")) / "fcps"
    files = sorted(folder.glob("*.npz"))
    if not files:
        print("\nSKAE_DATA names no folder with fcps/*.npz: this part is left out")
        return
    shape, n_iter = (10, 10), SelfOrganizingMap().n_iter
    peers = installed(
        {"MiniSom": ("minisom", train_minisom), "TorchSOM": ("torchsom", train_torchsom)}
    )
    table, wins = [], np.zeros(2, dtype=int)
    for path in files:
        X = np.load(path)["X"]
        found = {
            name: np.mean(
                [measures(X, train(X, shape, n_iter, seed), shape) for seed in range(n_seeds)], 0
            )
            for name, train in {"skae": train_skae, **peers}.items()
        }
        table.append([path.stem, *(f"{q:.4f} / {t:.3f}" for q, t in found.values())])
        others = [found[name] for name in peers]
        wins += np.all([found["skae"] <= other for other in others], axis=0)
    print_table(
        f"FCPS, 10 x 10 map, {n_iter} epochs, means of {n_seeds} seeds: errors of "
        "quantisation / topography",
        ["", "skae", *peers],
        table,
    )
    print(f"sets where skae has the least quantisation error: {wins[0]} of {len(files)}")
    print(f"sets where skae has the least topographic error: {wins[1]} of {len(files)}")


def bench_growth(rounds: int) -> None:
    base = dict(rows=20_000, features=50, units=400)
    factors = (1, 2, 4, 8)
    sizes, seconds = {}, {}
    for what in base:
        sizes[what] = [base[what] * factor for factor in factors]
        seconds[what] = []
        for size in sizes[what]:
            now = base | {what: size}
            X = np.random.default_rng(0).normal(size=(now["rows"], now["features"]))
            shape = 20, now["units"] // 20
            X = X.astype(np.float32)
            seconds[what].append(
                median(seconds_a_epoch(train_skae, X, shape, 40) for _ in range(rounds))
            )
    print_table(
        "Growth of an epoch from 20,000 x 50, 400 units",
        ["times as many", *(f"{factor}" for factor in factors)],
        [[what, *(f"{1e3 * one:.1f} ms" for one in times)] for what, times in seconds.items()],
    )
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt
    except ImportError:
        return
    figure, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
    for ax, what in zip(axes, base, strict=True):
        ax.plot(sizes[what], seconds[what], "o-", label="measured")
        line = np.array(factors) * seconds[what][0]
        ax.plot(sizes[what], line, "--", label="in proportion to the first")
        ax.set(xlabel=what, xscale="log", yscale="log")
        ax.set_xticks(sizes[what], [f"{size:,}" for size in sizes[what]])
        ax.minorticks_off()
    axes[0].set_ylabel("seconds an epoch")
    axes[0].legend()
    path = Path(__file__).parent / "output" / "som_growth.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=100)
    print(f"saved {path}")


def main() -> None:
    options = arguments(__doc__, speed=1, blobs=1, fcps=1, growth=1, rounds=5, seeds=5)
    warnings.simplefilter("ignore")
    if options.speed:
        bench_speed(options.rounds)
    if options.blobs:
        bench_blobs()
    if options.fcps:
        bench_fcps(options.seeds)
    if options.growth:
        bench_growth(options.rounds)


if __name__ == "__main__":
    main()
