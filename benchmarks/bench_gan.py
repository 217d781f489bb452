"""Modes that a generative adversarial network covers: 25 Gaussians on a grid in the plane.

The protocol of Srivastava et al. (2017) and Lin et al. (2018): 25 Gaussians of standard deviation
0.05 at -4, -2, 0, 2, 4 in both directions, 2,500 samples; a sample is of high quality if it
is within three standard deviations of a mode, and a mode is covered if a sample is. Published
by Lin et al.: 17.3 modes and 94.8 % for a plain network, 24.8 and 93.6 % for PacGAN. "Candidates"
are the rows from which the discriminator chooses each sample (1: none is chosen). No setting was
chosen by these seeds. Measured: 25.0 modes on average of 10 seeds, with 93.5 %, 98.9 % and 99.0 %
samples of high quality by 1, 16 and 64 candidates.

One seed of 15 epochs takes three minutes of a core, ten take half an hour; ``short`` trains two
seeds for 4 epochs in two minutes.

Command: ``python benchmarks/bench_gan.py [short] [--jobs 10]``
"""

import argparse
import time

import numpy as np
from joblib import Parallel, delayed

from skae import GenerativeAdversarialNetwork
from skae.metrics import mode_coverage

MODES = np.array([[x, y] for x in range(-4, 5, 2) for y in range(-4, 5, 2)], dtype=float)
DEVIATION = 0.05
CANDIDATES = 1, 16, 64


def coverage(seed: int, n_iter: int) -> list[tuple[int, float]]:
    """Return the covered modes and the share of good samples, for each number of candidates."""
    start = time.perf_counter()
    rng = np.random.default_rng(seed)
    X = MODES[rng.integers(25, size=100_000)] + DEVIATION * rng.normal(size=(100_000, 2))
    network = GenerativeAdversarialNetwork(
        2, batch_size=128, n_iter=n_iter, random_state=seed, device="cpu"
    ).fit(X)
    found = []
    for n_candidates in CANDIDATES:
        samples = network.sample(2500, n_candidates=n_candidates)
        found.append(mode_coverage(samples, MODES, 3 * DEVIATION)[:2])
    shown = (f"{k}: {n} {100 * part:.1f} %" for k, (n, part) in zip(CANDIDATES, found, strict=True))
    seconds = time.perf_counter() - start
    print(f"seed {seed}: candidates {', '.join(shown)}; {seconds:.0f} s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("setting", nargs="?", choices=["full", "short"], default="full")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    n_seeds, n_iter = {"full": (10, 15), "short": (2, 4)}[given.setting]
    seeds = range(1000, 1000 + n_seeds)
    results = Parallel(given.jobs)(delayed(coverage)(seed, n_iter) for seed in seeds)
    for n_candidates, found in zip(CANDIDATES, zip(*results, strict=True), strict=True):
        modes, quality = np.mean(found, axis=0)
        print(f"{n_candidates} candidates: {modes:.1f} modes, {100 * quality:.1f} % high quality")


if __name__ == "__main__":
    main()
