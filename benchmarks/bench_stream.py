"""Data larger than memory: a Parquet file of 10,000,000 x 50 float32, made here.

Seconds of an epoch over the file beside one over the same rows in memory, by the same autoencoder
50-128-8-128-50 in batches of 200, and of `score_samples` of all rows. "reading" goes through the
windows of an epoch without training: the floor of what streaming costs. Memory is the growth of
the peak in a fresh process that has fitted and scored some rows of the file before.

Command: ``python benchmarks/bench_stream.py [--rounds 1] [--rows 10000000]``

It needs pyarrow and pandas, and room for the file (3.1 GB) and for the rows (2 GB of memory).
Measured on 2 cores of an AMD EPYC with other work on them, torch with one thread: an epoch of the
file takes 1.19 x that in memory (113 and 95 s) and the scores 1.38 x (46 and 33 s); reading takes
18 s; the peak grows by 384 MB in `fit` and by 210 MB in `score_samples`.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from _common import (
    Times,
    arguments,
    in_fresh_process,
    megabytes,
    peak_growth,
    print_limit,
    print_ratio_limit,
    print_table,
    time_rows,
)
from pyarrow import parquet
from skorch.callbacks import Callback

from skae import Autoencoder
from skae._training._streams import in_windows
from skae.streaming import ParquetSource

N_COLUMNS = 50
ROWS_PER_GROUP = 2**18
#: What the time over the file may be of that in memory, and how far the peak may grow.
MOST_TIME, MOST_GROWTH = 1 / 0.7, 1e9


def blocks(n_rows: int) -> Iterator[np.ndarray]:
    """Draw rows that depend on five factors, some at a time."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(5, N_COLUMNS)).astype(np.float32)
    for start in range(0, n_rows, ROWS_PER_GROUP):
        n_some = min(ROWS_PER_GROUP, n_rows - start)
        rows = rng.standard_normal((n_some, 5), dtype=np.float32) @ mixing
        yield rows + 0.3 * rng.standard_normal(rows.shape, dtype=np.float32)


def make_file(path: str, n_rows: int) -> None:
    schema = pa.schema([(f"x{i}", pa.float32()) for i in range(N_COLUMNS)])
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in blocks(n_rows):
            columns = [pa.array(column) for column in rows.T.copy()]
            writer.write_table(pa.table(columns, schema=schema))


class Clock(Callback):
    """Notes the seconds of the last epoch."""

    def on_epoch_begin(self, net, **_):
        """Start."""
        self.start = time.perf_counter()

    def on_epoch_end(self, net, **_):
        """Stop."""
        self.seconds = time.perf_counter() - self.start


def fitted(X: object, *callbacks: Callback) -> Autoencoder:
    settings = {"batch_size": 200, "max_iter": 1, "random_state": 0, "device": "cpu"}
    return Autoencoder(8, callbacks=list(callbacks) or None, **settings).fit(X)


def epoch(X: object) -> float:
    fitted(X, clock := Clock())
    return clock.seconds


def read_only(source: ParquetSource) -> None:
    rows = source.map(lambda chunk: chunk.to_numpy())
    for _ in in_windows(rows, range(len(source.sizes))):
        pass


def in_turn(candidates: dict[str, Callable[[], float | None]], rounds: int) -> Times:
    """Time each once per round; no round is left out, since an epoch takes longer than a start."""
    times: Times = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            start = time.perf_counter()
            result = run()
            seconds = time.perf_counter() - start
            times[name].append(result if isinstance(result, float) else seconds)
    return times


def growths(path: str) -> list[int]:
    """Return by how much the peak grows in `fit` and in `score_samples`."""
    source = ParquetSource(path)
    autoencoder = fitted(next(iter(source))[:1000])
    autoencoder.score_samples(next(iter(source)))
    return [
        peak_growth(lambda: fitted(source)),
        peak_growth(lambda: autoencoder.score_samples(source)),
    ]


def main() -> None:
    options = arguments(__doc__, rounds=1, rows=10_000_000)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "rows.parquet")
        make_file(path, options.rows)
        of_fit, of_scores = in_fresh_process(growths, path)
        source = ParquetSource(path)
        X = np.empty((options.rows, N_COLUMNS), dtype=np.float32)
        for number, rows in enumerate(blocks(options.rows)):
            X[number * ROWS_PER_GROUP :][: len(rows)] = rows
        named = fitted(next(iter(source))[:1000])
        autoencoder = fitted(X[:1000])
        times = in_turn(
            {
                "epoch in memory": lambda: epoch(X),
                "epoch of the file": lambda: epoch(source),
                "reading": lambda: read_only(source),
            },
            options.rounds,
        )
        of_scoring = in_turn(
            {
                "scores in memory": lambda: autoencoder.score_samples(X),
                "scores of the file": lambda: named.score_samples(source),
            },
            options.rounds,
        )
    print_table(
        f"Parquet, {options.rows:,} x {N_COLUMNS} float32, net 50-128-8-128-50, batch 200",
        ["", "measured", "spread", "/ in memory"],
        [
            *time_rows(times, lambda seconds: f"{seconds:.1f} s", ["epoch in memory"]),
            *time_rows(of_scoring, lambda seconds: f"{seconds:.1f} s", ["scores in memory"]),
            ["growth of the peak memory in fit", megabytes(of_fit), "", ""],
            ["in score_samples", megabytes(of_scores), "", ""],
            ["the rows in memory", megabytes(X.nbytes), "", ""],
        ],
    )
    print_ratio_limit(times, "epoch of the file", "epoch in memory", MOST_TIME)
    print_ratio_limit(of_scoring, "scores of the file", "scores in memory", MOST_TIME)
    for what, growth in [("fit", of_fit), ("score_samples", of_scores)]:
        print_limit(f"growth of the peak in {what}", growth / 1e6, MOST_GROWTH / 1e6, " MB")


if __name__ == "__main__":
    main()
