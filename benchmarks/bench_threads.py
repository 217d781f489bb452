"""Where a second thread begins to pay: the bare torch loop with one thread and with all.

Time of a training step for nets and batches of all sizes, ordered by the multiply-adds of
one pass over a batch (rows times weights). It backs the constant `SINGLE_THREAD_WORK` in
``skae/_compute.py``, below which skae takes one thread.

Command: ``python benchmarks/bench_threads.py [--rounds 7]``
"""

from collections.abc import Callable
from itertools import pairwise
from statistics import median

import numpy as np
import torch
from _common import arguments, bare_loop, interleave, print_table, ratio, threads

from skae._compute import SINGLE_THREAD_WORK

NETS = [(64, 32, 64), (64, 128, 32, 128, 64), (784, 32, 784), (784, 128, 32, 128, 784)]
BATCH_SIZES = [32, 128, 512, 2048]
# Steps in a run: many of the short ones, few of the long ones.
WORK_OF_A_RUN = 2**30
MOST_STEPS = 256


def n_multiply_adds(net: tuple[int, ...], batch_size: int) -> int:
    return batch_size * sum(n_in * n_out for n_in, n_out in pairwise(net))


def make_run(
    net: tuple[int, ...], batch_size: int, steps: int, n_threads: int
) -> Callable[[], None]:
    steps_of_an_epoch = min(steps, 8)
    X = np.random.default_rng(0).random((steps_of_an_epoch * batch_size, net[0]), dtype=np.float32)

    def run() -> None:
        with threads(n_threads):
            bare_loop(X, net, batch_size, steps // steps_of_an_epoch)

    return run


def main() -> None:
    options = arguments(__doc__, rounds=7)
    n_threads = torch.get_num_threads()
    cases = sorted(
        (n_multiply_adds(net, batch_size), net, batch_size)
        for net in NETS
        for batch_size in BATCH_SIZES
    )
    rows = []
    for work, net, batch_size in cases:
        steps = 8 * max(1, min(WORK_OF_A_RUN // work, MOST_STEPS) // 8)
        times = interleave(
            {
                "one": make_run(net, batch_size, steps, 1),
                "all": make_run(net, batch_size, steps, n_threads),
            },
            options.rounds,
        )
        rows.append(
            [
                "-".join(map(str, net)),
                str(batch_size),
                f"{work:,}",
                *(f"{1e6 * median(seconds) / steps:.0f}" for seconds in times.values()),
                f"{ratio(times, 'one', 'all'):.2f}",
                "one" if work < SINGLE_THREAD_WORK else "all",
            ]
        )
    print_table(
        f"Threads: bare torch loop, one thread and {n_threads} "
        f"(skae takes one below {SINGLE_THREAD_WORK:,} multiply-adds)",
        [
            "net",
            "batch",
            "multiply-adds",
            "us, one thread",
            f"us, {n_threads} threads",
            "one / all",
            "skae takes",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
