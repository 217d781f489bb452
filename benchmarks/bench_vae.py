"""Variational autoencoders on MNIST: likelihoods beside published ones, digits by class, speed.

- ``fixed``: 784-400-40 (Bernoulli) on images made binary at random once; the negative
  log-likelihood of the test images by 200 importance samples. pythae reports 89.78 after 500
  epochs on its fixed binary images.
- ``dynamic``: 784-200-200-50 (tanh) on images made binary anew in each epoch, by `partial_fit`;
  5,000 importance samples of 1,000 test images. Burda et al. (2016) report 86.76, and 84.78 with
  50 importance samples in training (``--importance 50``).
- ``conditional``: the same for `ConditionalVariationalAutoencoder` on fixed binary images, given
  the class. Sohn et al. (2015) report 82.32 on dynamic ones.
- ``digits``: scikit-learn's digits drawn by class, read by a nearest-neighbour classifier that was
  fitted to real ones; five splits.
- ``speed``: an epoch of 784-400-20 in batches of 128, beside a bare torch loop.

Figures depend on the number of epochs (``--epochs``, for each part; without it the settings that
the parts were measured with). ``--validation`` scores 10,000 of the training images instead.

Command: ``python benchmarks/bench_vae.py [fixed] [dynamic] [conditional] [digits] [speed]
[--epochs 500] [--importance 1] [--validation]``
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from _common import interleave, print_ratio_limit, print_table, time_rows
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from skae import ConditionalVariationalAutoencoder, VariationalAutoencoder
from skae.datasets import fetch_mnist
from skae.layers import Dense

SETTINGS: dict[str, Any] = {
    "likelihood": "bernoulli",
    "batch_size": 128,
    "learning_rate_schedule": "linear",
    "tol": 0,
    "random_state": 0,
    "n_score_samples": 200,
}


def images(validation: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the images between 0 and 1 to train on and to score, and their labels."""
    X, y = fetch_mnist(subset="train", return_X_y=True)
    X_test, y_test = fetch_mnist(subset="test", return_X_y=True)
    if validation:
        X, X_test, y, y_test = X[:-10_000], X[-10_000:], y[:-10_000], y[-10_000:]
    return (X / 255).astype(np.float32), y, (X_test / 255).astype(np.float32), y_test


def binary(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(X.shape, dtype=np.float32) < X).astype(np.float32)


def fixed_settings(epochs: int) -> dict[str, Any]:
    return {**SETTINGS, "max_iter": epochs, "n_iter_no_change": epochs + 1}


def fixed(epochs: int, validation: bool, importance: int) -> None:
    rng = np.random.default_rng(0)
    X, _, X_test, _ = (binary(one, rng) if one.ndim == 2 else one for one in images(validation))
    autoencoder = VariationalAutoencoder(
        40, hidden_layers=(400,), n_importance_samples=importance, **fixed_settings(epochs)
    )
    report("784-400-40, fixed binary images", autoencoder, lambda: autoencoder.fit(X), X_test)


def dynamic(epochs: int, validation: bool, importance: int) -> None:
    rng = np.random.default_rng(0)
    X, _, X_test, _ = images(validation)
    layers = Dense((200, 200), activation="tanh")
    autoencoder = VariationalAutoencoder(
        50, hidden_layers=layers, n_importance_samples=importance, **fixed_settings(epochs)
    )

    def train() -> None:
        for epoch in range(epochs):
            rate = 1e-3 * 10 ** -(3 * epoch // epochs / 3)  # in three steps, to a fifth
            autoencoder.set_params(learning_rate=rate).partial_fit(binary(X, rng))

    autoencoder.set_params(n_score_samples=5000)
    report("784-200-200-50, dynamic", autoencoder, train, binary(X_test, rng)[:1000])


def conditional(epochs: int, validation: bool, importance: int) -> None:
    rng = np.random.default_rng(0)
    X, y, X_test, y_test = images(validation)
    X, X_test = binary(X, rng), binary(X_test, rng)
    autoencoder = ConditionalVariationalAutoencoder(
        40, hidden_layers=(400,), n_importance_samples=importance, **fixed_settings(epochs)
    )
    report("conditional", autoencoder, lambda: autoencoder.fit(X, y), X_test, y_test)


def report(name: str, autoencoder: Any, train: Callable[[], Any], *scored: Any) -> None:
    start = time.perf_counter()
    train()
    seconds = time.perf_counter() - start
    likelihood = -autoencoder.score_samples(*scored).mean()
    print(
        f"{name}: {likelihood:.2f} nats by {autoencoder.n_score_samples} samples after "
        f"{autoencoder.n_iter_} epochs ({seconds:.0f} s); "
        f"{autoencoder.active_components_.sum()} active components",
        flush=True,
    )


def digits(epochs: int, validation: bool, importance: int) -> None:
    X, y = load_digits(return_X_y=True)
    X, labels, shares = X / 16, np.repeat(np.arange(10), 100), []
    for seed in range(5):
        X_fit, X_other, y_fit, y_other = train_test_split(X, y, test_size=0.5, random_state=seed)
        autoencoder = ConditionalVariationalAutoencoder(
            8, likelihood="bernoulli", random_state=seed
        )
        rows = autoencoder.fit(X_fit, y_fit).sample(1000, seed, y=labels, return_mean=True)
        classifier = KNeighborsClassifier().fit(X_other, y_other)
        shares.append((classifier.predict(rows) == labels).mean())
    print(f"digits drawn by class and read as that class: {np.round(shares, 3)}", flush=True)


def speed(epochs: int, validation: bool, importance: int) -> None:
    X = images(False)[0][:20_000]
    settings = {**fixed_settings(2), "n_score_samples": 1}
    autoencoder = VariationalAutoencoder(20, hidden_layers=(400,), **settings)
    times = interleave({"skae": lambda: autoencoder.fit(X), "bare loop": lambda: bare(X, 2)}, 5)
    title = "Two epochs, 20,000 x 784, net 784-400-20, batches of 128"
    print_table(
        title, ["", "s", "spread", "/ bare loop"], time_rows(times, "{:.2f}".format, ["bare loop"])
    )
    print_ratio_limit(times, "skae", "bare loop", 0.9)


def bare(X: np.ndarray, n_epochs: int) -> None:
    rows = torch.from_numpy(X)
    encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    for _ in range(n_epochs):
        for index in torch.randperm(len(rows)).split(128):
            x = rows[index]
            optimizer.zero_grad()
            mean, log_variance = encoder(x).chunk(2, 1)
            code = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
            fit = F.binary_cross_entropy_with_logits(decoder(code), x, reduction="sum")
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
            ((fit + divergence) / len(x)).backward()
            optimizer.step()


PARTS = {
    "fixed": (fixed, 500),
    "dynamic": (dynamic, 500),
    "conditional": (conditional, 500),
    "digits": (digits, 0),
    "speed": (speed, 2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["digits", "speed"])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--importance", type=int, default=1)
    parser.add_argument("--validation", action="store_true")
    given = parser.parse_args()
    for name in given.parts:
        part, epochs = PARTS[name]
        part(given.epochs or epochs, given.validation, given.importance)


if __name__ == "__main__":
    main()
