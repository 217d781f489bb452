"""Reading: `transform` of 1,000,000 x 64 rows, its peak memory, and the size of a pickle.

Seconds for skae with its checks of the input, for the bare module applied to chunks of
8192 rows, and for the matrix products alone. Memory is the growth of the peak during
`transform` in a fresh process. The pickle is that of an autoencoder fitted to digits. And
microseconds for one row at a time, beside MLPRegressor with the same layers and a decoder.

Command: ``python benchmarks/bench_transform.py [--rounds 7] [--rows 1000000]``
"""

import pickle
from collections.abc import Callable

import numpy as np
import torch
from _common import (
    arguments,
    in_fresh_process,
    interleave,
    megabytes,
    peak_growth,
    print_limit,
    print_ratio_limit,
    print_table,
    time_rows,
)
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPRegressor
from torch import nn

from skae import Autoencoder

N_COMPONENTS = 32
CHUNK_ROWS = 8192


def fit_on_digits(max_iter: int = 1) -> Autoencoder:
    X = (load_digits().data / 16).astype(np.float32)
    autoencoder = Autoencoder(N_COMPONENTS, max_iter=max_iter, tol=0, device="cpu", random_state=0)
    return autoencoder.fit(X)


def make_rows(n_rows: int) -> np.ndarray:
    return np.random.default_rng(0).random((n_rows, 64), dtype=np.float32)


@torch.inference_mode()
def transform_bare(encoder: nn.Module, X: np.ndarray) -> np.ndarray:
    rows = torch.from_numpy(X)
    output = torch.empty(len(X), N_COMPONENTS)
    for start in range(0, len(X), CHUNK_ROWS):
        output[start : start + CHUNK_ROWS] = encoder(rows[start : start + CHUNK_ROWS])
    return output.numpy()


@torch.inference_mode()
def multiply_matrices(encoder: nn.Module, X: np.ndarray) -> None:
    """Do the matrix products of the encoder alone."""
    first, second = (p.detach() for p in encoder.parameters() if p.ndim == 2)
    rows = torch.from_numpy(X)
    output = torch.empty(len(X), N_COMPONENTS)
    hidden = torch.empty(CHUNK_ROWS, len(first))
    for x, z in zip(rows.split(CHUNK_ROWS), output.split(CHUNK_ROWS), strict=True):
        h = torch.mm(x, first.t(), out=hidden[: len(x)])
        torch.mm(h, second.t(), out=z)


def measure_memory(n_rows: int) -> int:
    autoencoder = fit_on_digits()
    X = make_rows(n_rows)
    autoencoder.transform(X[:CHUNK_ROWS])
    return peak_growth(lambda: autoencoder.transform(X))


def time_one_row(rounds: int, n_calls: int = 200) -> None:
    """Time calls with a single row, as a service makes them."""
    X = load_digits().data / 16
    autoencoder = fit_on_digits()
    regressor = MLPRegressor(hidden_layer_sizes=(128, N_COMPONENTS, 128), max_iter=1).fit(X, X)

    def repeat(method: Callable[[np.ndarray], np.ndarray], row: np.ndarray) -> Callable[[], None]:
        def run() -> None:
            for _ in range(n_calls):
                method(row)

        return run

    times = interleave(
        {
            "skae transform": repeat(autoencoder.transform, X[:1]),
            "skae transform, float32": repeat(autoencoder.transform, X[:1].astype(np.float32)),
            "MLPRegressor.predict": repeat(regressor.predict, X[:1]),
        },
        rounds,
    )
    print_table(
        "Reading: one row of 64 features, float64",
        ["", "us per call", "spread", "/ MLPRegressor.predict"],
        time_rows(
            times, lambda seconds: f"{1e6 * seconds / n_calls:.0f}", ["MLPRegressor.predict"]
        ),
    )
    print_ratio_limit(times, "skae transform", "MLPRegressor.predict", 2)


def main() -> None:
    options = arguments(__doc__, rounds=7, rows=1_000_000)
    growth = in_fresh_process(measure_memory, options.rows)
    autoencoder = fit_on_digits(max_iter=20)
    encoder = autoencoder.module_.encoder
    X = make_rows(options.rows)
    np.testing.assert_allclose(
        autoencoder.transform(X[:1000]), transform_bare(encoder, X[:1000]), rtol=1e-4, atol=1e-5
    )
    times = interleave(
        {
            "skae transform": lambda: autoencoder.transform(X),
            "bare module in chunks": lambda: transform_bare(encoder, X),
            "matrix products alone": lambda: multiply_matrices(encoder, X),
        },
        options.rounds,
    )
    output_bytes = options.rows * N_COMPONENTS * 4
    n_pickle = len(pickle.dumps(autoencoder))
    n_weights = sum(p.numel() * p.element_size() for p in autoencoder.module_.parameters())
    print_table(
        f"Reading: transform of {X.shape[0]:,} x 64 float32 by an encoder 64-128-{N_COMPONENTS}",
        ["", "measured", "spread", "/ bare module"],
        [
            *time_rows(times, lambda seconds: f"{seconds:.3f} s", ["bare module in chunks"]),
            ["skae transform, growth of the peak memory", megabytes(growth), "", ""],
            ["its output", megabytes(output_bytes), "", ""],
            ["pickle of the fitted autoencoder", f"{n_pickle:,} bytes", "", ""],
            ["its weights", f"{n_weights:,} bytes", "", ""],
        ],
    )
    time_one_row(options.rounds)
    print_limit("growth of the peak memory", growth / 1e6, output_bytes / 1e6 + 200, " MB")
    print_limit("pickle / weights", n_pickle / n_weights, 3)


if __name__ == "__main__":
    main()
