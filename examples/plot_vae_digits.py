"""
===========================================================
A two-dimensional code of digits, and digits drawn by class
===========================================================

A variational autoencoder with two components lays scikit-learn's digits out on a plane,
near a standard normal distribution. Decoded over a grid, the plane shows how one digit
turns into another. A conditional one, which is given the class, draws digits of each
class.

Run it with ``python examples/plot_vae_digits.py [folder]``; the pictures go to
``examples/output`` unless a folder is given.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skae import ConditionalVariationalAutoencoder, VariationalAutoencoder
from skae.plotting import ComponentsDisplay, LatentSpaceDisplay

N_ACROSS, N_PER_CLASS = 14, 12


def plot_plane(autoencoder, X_test, y_test):
    """Draw the codes of test digits, and what is decoded over the plane."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    display = LatentSpaceDisplay.from_estimator(
        autoencoder, X_test, y_test, n_grid=N_ACROSS, ax=left
    )
    display.plot(right, kind="decoded")
    left.set_title("Codes of test digits")
    right.set_title("Decoded over the plane")
    return figure


def plot_classes(rows):
    """Draw the digits of each class in a line."""
    display = ComponentsDisplay(rows.reshape(-1, 8, 8), signed=False).plot(n_columns=N_PER_CLASS)
    display.ax_.set(yticks=np.arange(10) * 9 + 3.5, yticklabels=range(10))
    display.ax_.set(ylabel="class", title="Digits drawn by class")
    return display.figure_


def main(folder: Path) -> None:
    """Fit both, print what they reach, and draw the pictures."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.3, random_state=0)
    settings = {"likelihood": "bernoulli", "random_state": 0}
    plane = VariationalAutoencoder(2, **settings).fit(X_train)
    print(f"log-likelihood of test digits, at least {plane.score(X_test):.1f} nats each")

    by_class = ConditionalVariationalAutoencoder(8, **settings).fit(X_train, y_train)
    labels = np.repeat(np.arange(10), N_PER_CLASS)
    drawn = by_class.sample(len(labels), random_state=0, y=labels, return_mean=True)
    classifier = KNeighborsClassifier().fit(X_test, y_test)
    print(f"drawn digits read as their class: {(classifier.predict(drawn) == labels).mean():.3f}")
    print(f"classes of test digits predicted: {(by_class.predict(X_test) == y_test).mean():.3f}")

    folder.mkdir(parents=True, exist_ok=True)
    plot_plane(plane, X_test, y_test).savefig(folder / "vae_plane.png", dpi=100)
    plot_classes(drawn).savefig(folder / "vae_classes.png", dpi=100)
    print(f"pictures in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
