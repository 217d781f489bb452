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
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skae import ConditionalVariationalAutoencoder, VariationalAutoencoder

N_ACROSS, N_PER_CLASS = 14, 12


def tiled(images, n_rows, n_columns):
    """Return flat 8 x 8 images side by side in one, with white lines between them."""
    tiles = np.pad(images.reshape(n_rows, n_columns, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return tiles.transpose(0, 2, 1, 3).reshape(10 * n_rows, 10 * n_columns)


def plot_plane(autoencoder, X_test, y_test):
    """Draw the codes of test digits, and what is decoded over the plane."""
    # Equal shares of the prior lie between the lines of the grid.
    along = stats.norm.ppf((np.arange(N_ACROSS) + 0.5) / N_ACROSS)
    grid = np.stack(np.meshgrid(along, along[::-1]), axis=-1).reshape(-1, 2)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    points = left.scatter(*autoencoder.transform(X_test).T, c=y_test, cmap="tab10", s=12)
    left.set(xlabel="component 1", ylabel="component 2", title="Codes of test digits")
    figure.colorbar(points, ax=left, ticks=range(10), label="digit")
    decoded = autoencoder.inverse_transform(grid)
    right.imshow(tiled(decoded, N_ACROSS, N_ACROSS), cmap="gray_r")
    right.set(title="Decoded over the plane", xticks=[], yticks=[])
    return figure


def plot_classes(rows):
    """Draw the digits of each class in a line."""
    figure, axis = plt.subplots(figsize=(7, 6), layout="constrained")
    axis.imshow(tiled(rows, 10, N_PER_CLASS), cmap="gray_r")
    axis.set(yticks=np.arange(10) * 10 + 4.5, yticklabels=range(10), xticks=[])
    axis.set(ylabel="class", title="Digits drawn by class")
    return figure


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
    judge = KNeighborsClassifier().fit(X_test, y_test)
    print(f"drawn digits read as their class: {(judge.predict(drawn) == labels).mean():.3f}")
    print(f"classes of test digits predicted: {(by_class.predict(X_test) == y_test).mean():.3f}")

    folder.mkdir(parents=True, exist_ok=True)
    plot_plane(plane, X_test, y_test).savefig(folder / "vae_plane.png", dpi=100)
    plot_classes(drawn).savefig(folder / "vae_classes.png", dpi=100)
    print(f"pictures in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
