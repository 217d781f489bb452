"""One sweep of a restricted Boltzmann machine, beside scikit-learn's.

20,000 x 784 rows of zeros and ones, 256 hidden units, batches of 10, 100 and 500 rows. A sweep is
timed as all of ``fit`` with ``n_iter=1``: with the start, the order of the rows, and what is noted
of the sweep. The floor is the matrix products of a sweep without anything between them.

Command: ``python benchmarks/bench_rbm.py [--rounds 5]``
"""

from functools import partial

import numpy as np
import sklearn.neural_network
import torch
from _common import arguments, interleave, print_limit, print_table, ratio, time_rows

import skae

N_ROWS, N_FEATURES, N_COMPONENTS = 20_000, 784, 256
#: By batch size, how many times faster than scikit-learn's a sweep is to be.
TO_REACH = {10: 3.0, 100: 2.0, 500: 1.5}


def products(batch_size: int) -> None:
    """Run the three matrix products of each step of a sweep, two of them over both phases."""
    weight = torch.zeros(N_COMPONENTS, N_FEATURES)
    v, h = torch.rand(2 * batch_size, N_FEATURES), torch.rand(2 * batch_size, N_COMPONENTS)
    for _ in range(N_ROWS // batch_size):
        torch.mm(h[:batch_size], weight)
        torch.mm(v, weight.T)
        weight.addmm_(h.T, v, alpha=1e-9)  # with 0 it would be left out


def main() -> None:
    rounds = arguments(__doc__, rounds=5).rounds
    X = (np.random.default_rng(0).random((N_ROWS, N_FEATURES)) < 0.2).astype(np.float32)
    for batch_size, to_reach in TO_REACH.items():
        settings = {"batch_size": batch_size, "n_iter": 1, "random_state": 0}
        ours = skae.BernoulliRBM(N_COMPONENTS, device="cpu", **settings)
        plain = skae.BernoulliRBM(N_COMPONENTS, device="cpu", centered=False, **settings)
        theirs = sklearn.neural_network.BernoulliRBM(N_COMPONENTS, **settings)
        times = interleave(
            {
                "skae": partial(ours.fit, X),
                "skae, centered=False": partial(plain.fit, X),
                "scikit-learn": partial(theirs.fit, X),
                "matrix products": partial(products, batch_size),
            },
            rounds,
        )
        baselines = ["scikit-learn", "matrix products"]
        print_table(
            f"One sweep of {N_ROWS:,} x {N_FEATURES}, {N_COMPONENTS} hidden units, batches of "
            f"{batch_size}",
            ["", "median", "spread", *(f"/ {name}" for name in baselines)],
            time_rows(times, lambda seconds: f"{seconds:.2f} s", baselines),
        )
        print_limit("skae / scikit-learn", ratio(times, "skae", "scikit-learn"), 1 / to_reach)


if __name__ == "__main__":
    main()
