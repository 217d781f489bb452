"""
===================================
One fit for every width of the code
===================================

An autoencoder with ordered components (nested dropout) is fitted once. Its curve says how
much of the variance the first 1, 2, ... components keep, beside PCA and beside
autoencoders that were fitted for one width each.

Run it with ``python examples/plot_ordered_codes.py [folder]``; the picture goes to
``examples/output`` unless a folder is given.
"""

import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skae import Autoencoder

SETTINGS = {"hidden_layers": (128,), "batch_size": 50, "tol": 0, "random_state": 0}
N_COMPONENTS = 16


def kept_variance(X, rebuilt):
    """Return the fraction of the variance of `X` that its reconstruction keeps."""
    return 1 - ((X - rebuilt) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum()


def plot_curve(ordered, X_train, X_test):
    """Draw the kept variance of test images over the number of components."""
    widths = np.arange(1, N_COMPONENTS + 1)
    pca = PCA(N_COMPONENTS).fit(X_train)
    codes = pca.transform(X_test)
    curves = {
        "one ordered autoencoder": (
            widths,
            [kept_variance(X_test, ordered.truncate(k).reconstruct(X_test)) for k in widths],
            "-",
        ),
        "an autoencoder for each width": (
            few := np.array([1, 2, 4, 8, 16]),
            [
                kept_variance(
                    X_test,
                    Autoencoder(k, max_iter=100, **SETTINGS).fit(X_train).reconstruct(X_test),
                )
                for k in few
            ],
            "o",
        ),
        "PCA": (
            widths,
            [kept_variance(X_test, codes[:, :k] @ pca.components_[:k] + pca.mean_) for k in widths],
            "--",
        ),
    }
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    for label, (x, y, style) in curves.items():
        ax.plot(x, y, style, label=label)
    ax.set(xlabel="components", ylabel="kept variance of test images", ylim=(0, 1))
    ax.legend()
    return figure


def main(folder):
    """Fit, and save the picture."""
    X = load_digits().data / 16
    X_train, X_test = train_test_split(X, test_size=0.35, random_state=0)
    ordered = Autoencoder(N_COMPONENTS, ordered=True, max_iter=200, n_iter_no_change=50, **SETTINGS)
    ordered.fit(X_train)
    folder.mkdir(parents=True, exist_ok=True)
    plot_curve(ordered, X_train, X_test).savefig(folder / "ordered_codes.png", dpi=100)
    print(f"saved {folder / 'ordered_codes.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
