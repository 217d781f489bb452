"""Sparse rows: an epoch over a CSR matrix of 200,000 x 10,000 with 10 entries a row.

Seconds for a linear autoencoder with two components, batch 1000, beside a bare torch
loop over ``X[batch].toarray()``. Memory is the growth of the peak
during `fit` in a fresh process, beside the size of the matrix and of a dense copy.

Command: ``python benchmarks/bench_sparse.py [--rounds 3] [--rows 200000] [--columns 10000]``
"""

import numpy as np
import torch
import torch.nn.functional as F
from _common import (
    arguments,
    in_fresh_process,
    interleave,
    make_network,
    megabytes,
    peak_growth,
    print_table,
    time_rows,
)
from scipy import sparse
from torch import nn

from skae import Autoencoder

BATCH_SIZE = 1000
DENSITY = 0.001


def make_rows(n_rows: int, n_columns: int) -> sparse.csr_matrix:
    """Draw equally many entries for each row; the few that coincide are added up."""
    rng = np.random.default_rng(0)
    n_entries = max(1, round(n_columns * DENSITY))
    columns = rng.integers(n_columns, size=n_rows * n_entries, dtype=np.int32)
    values = rng.random(n_rows * n_entries, dtype=np.float32)
    starts = np.arange(0, n_rows * n_entries + 1, n_entries, dtype=np.int32)
    X = sparse.csr_matrix((values, columns, starts), shape=(n_rows, n_columns))
    X.sum_duplicates()
    return X


def fit_skae(X: sparse.csr_matrix) -> None:
    Autoencoder(2, hidden_layers=(), batch_size=BATCH_SIZE, max_iter=1, device="cpu").fit(X)


def fit_bare(X: sparse.csr_matrix) -> None:
    n_rows, n_columns = X.shape
    encoder, decoder = make_network((n_columns, 2)), make_network((2, n_columns))
    network = nn.Sequential(encoder, decoder)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    order = np.random.default_rng(0).permutation(n_rows)
    for start in range(0, n_rows, BATCH_SIZE):
        x = torch.from_numpy(X[order[start : start + BATCH_SIZE]].toarray())
        optimizer.zero_grad()
        loss = F.mse_loss(network(x), x)
        loss.backward()
        optimizer.step()


def measure_memory(n_rows: int, n_columns: int) -> int:
    fit_skae(make_rows(BATCH_SIZE // 10, n_columns))  # what torch itself takes at first
    X = make_rows(n_rows, n_columns)
    return peak_growth(lambda: fit_skae(X))


def main() -> None:
    options = arguments(__doc__, rounds=3, rows=200_000, columns=10_000)
    growth = in_fresh_process(measure_memory, options.rows, options.columns)
    X = make_rows(options.rows, options.columns)
    times = interleave(
        {"skae": lambda: fit_skae(X), "bare loop": lambda: fit_bare(X)},
        options.rounds,
    )
    n_csr = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes
    n_columns = X.shape[1]
    print_table(
        f"Sparse rows: CSR {X.shape[0]:,} x {n_columns:,}, {X.nnz / X.shape[0]:.1f} entries a row, "
        f"net {n_columns}-2-{n_columns}, batch {BATCH_SIZE}, one epoch",
        ["", "measured", "spread", "/ bare loop"],
        [
            *time_rows(times, lambda seconds: f"{seconds:.2f} s", ["bare loop"]),
            ["skae fit, growth of the peak memory", megabytes(growth), "", ""],
            ["the CSR matrix", megabytes(n_csr), "", ""],
            ["a dense batch", megabytes(4 * n_columns * BATCH_SIZE), "", ""],
            ["a dense copy, not made (calculated)", megabytes(4 * n_columns * X.shape[0]), "", ""],
        ],
    )


if __name__ == "__main__":
    main()
