"""
=====================================
Twenty-five Gaussians, made by a GAN
=====================================

A grid of 25 narrow Gaussians is hard for a generative adversarial network: plain ones leave modes
out (mode collapse), and a continuous generator joins the modes by bridges. Here an encoder ties
each mode to a part of the code, and the discriminator chooses among candidates. After half a
minute of training the generator still makes much that lies between the modes, of which the
choice leaves little; ``benchmarks/bench_gan.py`` trains for longer.

Run it with ``python examples/plot_gan_grid.py [folder]``; the picture goes to ``examples/output``
unless a folder is given.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from skae import GenerativeAdversarialNetwork
from skae.metrics import mode_coverage

MODES = np.array([[x, y] for x in range(-4, 5, 2) for y in range(-4, 5, 2)], dtype=float)
DEVIATION = 0.1


def main(folder):
    """Fit, and save the picture."""
    rng = np.random.default_rng(0)
    X = MODES[rng.integers(25, size=10_000)] + DEVIATION * rng.normal(size=(10_000, 2))
    network = GenerativeAdversarialNetwork(
        2, hidden_layers=(128, 128), batch_size=128, n_iter=25, random_state=0
    ).fit(X)
    pictures = {
        "rows": X[:2500],
        "all that the generator makes": network.sample(2500, n_candidates=1),
        "chosen by the discriminator": network.sample(2500),
    }
    figure, axes = plt.subplots(1, 4, figsize=(16, 4.8), layout="constrained")
    for ax, (title, rows) in zip(axes, pictures.items(), strict=False):
        found = mode_coverage(rows, MODES, radius=3 * DEVIATION)
        said = f"{found.n_modes} modes, {100 * found.high_quality:.1f} % high quality"
        print(f"{title}: {said}")
        ax.scatter(*rows.T, s=2)
        ax.set(title=f"{title}\n{said}", xlim=(-5, 5), ylim=(-5, 5), aspect="equal")
    codes = network.transform(X[:2500])
    mode = np.linalg.norm(X[:2500, None] - MODES, axis=2).argmin(1)
    axes[3].scatter(*codes.T, c=mode, cmap="tab20", s=2)
    axes[3].set(title="codes of the rows, by mode", aspect="equal")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "gan_grid.png", dpi=100)
    print(f"saved {folder / 'gan_grid'}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
