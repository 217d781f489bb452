"""
==================================
Winners of a convolutional network
==================================

A winner-take-all autoencoder rebuilds each image from pieces, at most one of a kind: of each of
its feature maps training keeps the maximum, and that only in a fifth of the images. So the pieces
become strokes. Left are these pieces; right, for some digits, where the winners are, the darker
the larger, and the image that they make.

Without that sparsity, and pooled, the maps are features for a linear SVM. Its accuracy is printed
beside that on the pixels.

Run it with ``python examples/plot_winner_take_all.py [folder]``; the picture goes to
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
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skae import WinnerTakeAllAutoencoder
from skae.layers import Conv2d
from skae.plotting import ComponentsDisplay

N_SHOWN = 5


def places_of_winners(learner, images):
    """Return images of the largest winner at each place."""
    maps = learner.transform(images).reshape(len(images), *learner.code_shape_)
    least = np.maximum(maps.max(axis=(2, 3), keepdims=True), learner.thresholds_[:, None, None])
    return np.where(maps >= least, maps, 0).max(axis=1)


def plot_winners(learner, images):
    """Draw the pieces, and images beside their winners and what these make."""
    figure = plt.figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.3])
    ax = left.subplots()
    ComponentsDisplay.from_estimator(learner, ax=ax)
    ax.set_title(f"the pieces of {learner.n_components} feature maps")
    rows = {
        "image": images,
        "winners": places_of_winners(learner, images),
        "made of them": learner.reconstruct(images),
    }
    axes = right.subplots(len(rows), len(images))
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for ax, picture in zip(line, pictures, strict=True):
            ax.imshow(picture, cmap="gray_r", vmin=0)
            ax.set(xticks=[], yticks=[])
        line[0].set_ylabel(name)
    return figure


def main(folder):
    """Print the accuracies, save the picture, and return the accuracies."""
    images, y = load_digits().images.astype(np.float32) / 16, load_digits().target
    train, test, y_train, y_test = train_test_split(images, y, test_size=0.35, random_state=0)
    learner = WinnerTakeAllAutoencoder(
        36,
        hidden_layers=Conv2d((1, 8, 8), channels=(32,), stride=1),
        learning_rate=3e-3,
        batch_size=50,
        max_iter=12,
        random_state=0,
    )
    pooled = learner.set_params(pool_size=4, pool_stride=2).fit(train)
    codes = pooled.transform(train), pooled.transform(test)
    pixels = train.reshape(-1, 64), test.reshape(-1, 64)
    accuracies = {}
    for name, (rows, others) in {"pixels": pixels, "pooled maps": codes}.items():
        svm = make_pipeline(StandardScaler(), LinearSVC(C=0.01)).fit(rows, y_train)
        accuracies[name] = svm.score(others, y_test)
        print(f"accuracy of a linear SVM on {name}: {accuracies[name]:.4f}")
    # The same training, and maps as they are.
    unpooled = learner.set_params(pool_size=None, pool_stride=None).fit(train)
    folder.mkdir(parents=True, exist_ok=True)
    plot_winners(unpooled, test[:N_SHOWN]).savefig(folder / "winner_take_all.png", dpi=100)
    print(f"saved {folder / 'winner_take_all.png'}")
    return accuracies


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
