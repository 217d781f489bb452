"""
===================================================
A sparse dictionary: known features are found again
===================================================

96 patterns of 8 x 8 pixels are more than there are pixels, and each image is the sum of about
three of them. PCA finds at most 64 directions at right angles, which are none of the
patterns. A dictionary autoencoder of 128 units, which keeps three units per image on average,
finds most of the patterns, and its units say which of them are in an image. The same is done with
the activations of language models, where nobody knows the features.

Run it with ``python examples/plot_sparse_dictionary.py [folder]``; the picture goes to
``examples/output`` unless a folder is given.
"""

import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import cosine_similarity

from skae import DictionaryAutoencoder
from skae.metrics import matched_f1_score, mean_max_cosine_similarity

N_FEATURES, SIDE = 96, 8


def make_patterns(rng):
    """Return waves under a bell, at random places and angles, of length 1."""
    y, x = np.mgrid[:SIDE, :SIDE]
    patterns = np.empty((0, SIDE * SIDE))
    while len(patterns) < N_FEATURES:
        row, column = rng.uniform(1, SIDE - 2, size=2)
        angle, wavelength = rng.uniform(0, np.pi), rng.uniform(3, 7)
        across = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
        distance = (x - column) ** 2 + (y - row) ** 2
        wave = np.cos(2 * np.pi * across / wavelength + rng.uniform(0, 2 * np.pi))
        pattern = (wave * np.exp(-distance / 6)).ravel()
        pattern /= np.linalg.norm(pattern)
        if not (np.abs(patterns @ pattern) > 0.6).any():  # or one may pass for another
            patterns = np.vstack([patterns, pattern])
    return patterns


def make_images(patterns, n_images, rng):
    """Return sums of few patterns, and how much of each is in each image."""
    frequencies = rng.dirichlet(np.full(N_FEATURES, 5.0)) * 3  # three in an image, on average
    present = rng.random((n_images, N_FEATURES)) < frequencies
    amounts = present * rng.uniform(1, 2, size=present.shape)
    return amounts @ patterns, amounts


def fit_dictionaries(X):
    """Return dictionaries that select their units in two ways, and PCA."""
    settings = {
        "n_components": 128,
        "k": 3,
        "learning_rate": 5e-3,
        "batch_size": 512,
        "max_iter": 20,
        "tol": 0,
        "random_state": 0,
    }
    return {
        "batch_topk": DictionaryAutoencoder(**settings).fit(X),
        "matryoshka": DictionaryAutoencoder(sparsity="matryoshka", widths=[64, 96], **settings).fit(
            X
        ),
        "PCA": PCA().fit(X),
    }


def draw(axes, directions, title):
    """Draw directions as images in a grid, each on its own scale."""
    n_columns = 12
    grid = np.full((len(directions) // n_columns * (SIDE + 1), n_columns * (SIDE + 1)), np.nan)
    for number, direction in enumerate(directions):
        row, column = (place * (SIDE + 1) for place in divmod(number, n_columns))
        image = direction.reshape(SIDE, SIDE) / np.abs(direction).max()
        grid[row : row + SIDE, column : column + SIDE] = image
    axes.imshow(grid, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_title(title)
    axes.axis("off")


def plot(patterns, fitted):
    """Draw the patterns, the directions that are nearest to them, and how near these are."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.6), layout="constrained")
    cosines = {name: cosine_similarity(patterns, one.components_) for name, one in fitted.items()}
    order = np.argsort(-cosines["batch_topk"].max(axis=1))  # those that are found best first
    nearest = fitted["batch_topk"].components_[cosines["batch_topk"].argmax(axis=1)]
    draw(left, patterns[order], f"{N_FEATURES} patterns")
    draw(middle, nearest[order], "the nearest direction of the dictionary")
    for name, found in cosines.items():
        best = np.abs(found) if name == "PCA" else found  # its directions have no sign
        right.plot(np.sort(best.max(axis=1))[::-1], label=name)
    right.set(xlabel="pattern, the best found first", ylabel="cosine to the nearest direction")
    right.set_ylim(0, 1.02)
    right.legend()
    return figure


def main(folder):
    """Fit, print how well the patterns are found, save the picture."""
    rng = np.random.default_rng(0)
    patterns = make_patterns(rng)
    X, _ = make_images(patterns, 20_000, rng)
    X_test, amounts = make_images(patterns, 5_000, rng)
    fitted = fit_dictionaries(X)
    for name in ("batch_topk", "matryoshka"):
        dictionary = fitted[name]
        codes, statistics = dictionary.transform(X_test), dictionary.code_statistics(X_test)
        directions = dictionary.components_
        print(
            f"{name}: mean max cosine {mean_max_cosine_similarity(patterns, directions):.3f}, "
            f"F1 {matched_f1_score(codes, amounts, directions, patterns):.3f}, "
            f"{statistics.l0:.2f} active units, "
            f"{statistics.explained_variance:.1%} of the variance, "
            f"{statistics.dead_share:.0%} of the units dead"
        )
    unit = int(fitted["batch_topk"].firing_counts_.argmax())
    indices, values = fitted["batch_topk"].top_activating(X_test, unit, k=3)
    print(f"unit {unit} is most active in images {indices} (by {values.round(2)})")
    folder.mkdir(parents=True, exist_ok=True)
    plot(patterns, fitted).savefig(folder / "sparse_dictionary.png", dpi=100)
    print(f"saved {folder / 'sparse_dictionary.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
