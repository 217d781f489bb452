"""Parzen log-likelihood of an adversarial autoencoder's samples of MNIST.

A Gaussian kernel density of 10,000 samples, whose bandwidth is chosen on 1,000 of the training
images that are held out; the mean over 1,000 test images. Published: 340 +- 2 nats
(Makhzani et al. 2016, two hidden layers of 1,000 units, a code of 8).

The figure rewards blur: that of 10,000 training images themselves, 241 nats of those held out, is
printed first.

Each epoch of the full setting takes minutes on two cores, and is printed with its figure; ``short``
trains narrower layers for a few epochs.

Command: ``python benchmarks/bench_aae.py [short]``
"""

import sys
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skae import AdversarialAutoencoder
from skae.datasets import fetch_mnist
from skae.metrics import parzen_log_likelihood

REGULARIZERS = ("mmd", "adversarial")
BANDWIDTHS = np.geomspace(0.1, 0.3, 8)


def main(widths: tuple[int, ...], n_rounds: int, n_epochs: int) -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, X_test = (
        (fetch_mnist(subset=subset, return_X_y=True)[0] / 255).astype(np.float32)
        for subset in ("train", "test")
    )
    held_out, X = X[-1000:], X[:-1000]
    real = max(parzen_log_likelihood(held_out, X[:10_000], b).mean() for b in BANDWIDTHS)
    print(f"10,000 training images: {real:.1f} nats of the held-out ones", flush=True)
    for regularizer in REGULARIZERS:
        autoencoder = AdversarialAutoencoder(
            8,
            regularizer=regularizer,
            alpha=0.2,
            hidden_layers=widths,
            loss="squared_error",
            max_iter=n_epochs,
            n_iter_no_change=n_epochs,
            warm_start=True,
            random_state=0,
        )
        start = time.perf_counter()
        for number in range(1, n_rounds + 1):
            autoencoder.fit(X)
            samples = autoencoder.sample(10_000)
            values = [parzen_log_likelihood(held_out, samples, b).mean() for b in BANDWIDTHS]
            bandwidth = BANDWIDTHS[int(np.argmax(values))]
            figure = parzen_log_likelihood(X_test[:1000], samples, bandwidth).mean()
            print(
                f"{regularizer}, {number * n_epochs} epochs: {figure:.1f} nats (bandwidth "
                f"{bandwidth:.3f}), {time.perf_counter() - start:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main(*(((256,), 3, 1) if sys.argv[1:] == ["short"] else ((1000, 1000), 20, 10)))
