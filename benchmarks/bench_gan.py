"""Modes that a generative adversarial network covers: 25 Gaussians on a grid in the plane.

The protocol of Srivastava et al. (2017) and Lin et al. (2018): 25 Gaussians of standard deviation
0.05 at -4, -2, 0, 2, 4 in both directions, 2,500 samples; a sample is of high quality if it
is within three standard deviations of a mode, and a mode is covered if a sample is. Published
by Lin et al.: 17.3 modes and 94.8 % for a plain network, 24.8 and 93.6 % for PacGAN. "Candidates"
are the rows from which the discriminator chooses each sample (1: none is chosen). No setting was
chosen by these seeds.

One seed of 15 epochs takes three minutes of a core, ten take half an hour; ``short`` trains two
seeds for 4 epochs in two minutes.

Command: ``python benchmarks/bench_gan.py [short]``
"""

import sys
import time

import numpy as np

from skae import GenerativeAdversarialNetwork
from skae.metrics import mode_coverage

MODES = np.array([[x, y] for x in range(-4, 5, 2) for y in range(-4, 5, 2)], dtype=float)
DEVIATION = 0.05


def main(n_seeds: int, n_iter: int) -> None:
    results: dict[int, list[tuple[int, float]]] = {1: [], 16: [], 64: []}
    for seed in range(1000, 1000 + n_seeds):
        start = time.perf_counter()
        rng = np.random.default_rng(seed)
        X = MODES[rng.integers(25, size=100_000)] + DEVIATION * rng.normal(size=(100_000, 2))
        network = GenerativeAdversarialNetwork(
            2, batch_size=128, n_iter=n_iter, random_state=seed, device="cpu"
        ).fit(X)
        for n_candidates, found in results.items():
            samples = network.sample(2500, n_candidates=n_candidates)
            found.append(mode_coverage(samples, MODES, 3 * DEVIATION)[:2])
        shown = ", ".join(f"{k}: {f[-1][0]} {100 * f[-1][1]:.1f} %" for k, f in results.items())
        print(f"seed {seed}: candidates {shown}; {time.perf_counter() - start:.0f} s", flush=True)
    for n_candidates, found in results.items():
        modes, quality = np.mean(found, axis=0)
        print(f"{n_candidates} candidates: {modes:.1f} modes, {100 * quality:.1f} % high quality")


if __name__ == "__main__":
    main(*((2, 4) if sys.argv[1:] == ["short"] else (10, 15)))
