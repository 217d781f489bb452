"""
==================================================
Codes on a plane: learned, projected, and by t-SNE
==================================================

To look at the codes of an autoencoder they have to come to a plane. There are three ways: learn a
code of two components; learn a longer one, and draw its first two principal components; or draw
the longer one by t-SNE, which keeps neighbours together. `skae.plotting.LatentSpaceDisplay` does
all three. How much of the neighbourhoods is left is measured by the share of test digits whose
class is that of most of their five nearest neighbours, on the plane and in the code itself. The
classes were not used in learning.

t-SNE shows nearly all that the code of 16 components holds. But it is for looking only: it gives no
place to a new digit and decodes nothing, which the learned plane does, and distances between its
groups, and their sizes, mean little. (Among the 64 pixels themselves, five neighbours know the
class even better: a code is for having fewer numbers, not for better neighbours.) The second
picture draws some of the digits themselves at their places.

Run it with ``python examples/plot_latent_tsne.py [folder]``; the pictures go to
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
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skae import Autoencoder, DenoisingAutoencoder
from skae.plotting import LatentSpaceDisplay


def fit_both(X):
    """Return an autoencoder of two components, and one of sixteen."""
    two = Autoencoder(2, hidden_layers=(256, 64), batch_size=50, max_iter=150, random_state=0)
    sixteen = DenoisingAutoencoder(
        16,
        noise="masking",
        hidden_layers=(128,),
        learning_rate=2e-3,
        batch_size=50,
        max_iter=80,
        random_state=0,
    )
    return two.fit(X), sixteen.fit(X)


def known_by_neighbours(places, y):
    """Return the share of rows whose class their five nearest neighbours know."""
    return cross_val_score(KNeighborsClassifier(5), places, y, cv=5).mean()


def plot_planes(two, sixteen, X, y):
    """Draw the codes on a plane in three ways, and return the last display with the figure."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.8), layout="constrained")
    ways = {
        "two components, learned": (two, "pca"),
        "16 components, by PCA": (sixteen, "pca"),
        "16 components, by t-SNE": (sixteen, "tsne"),
    }
    for ax, (title, (autoencoder, method)) in zip(axes, ways.items(), strict=True):
        display = LatentSpaceDisplay.from_estimator(
            autoencoder, X, y, method=method, random_state=0, ax=ax
        )
        share = known_by_neighbours(display.codes, y)
        print(f"{title:<25}classes known by five neighbours {share:.3f}")
        ax.set_title(f"{title}: {share:.1%} by neighbours")
        ax.get_legend().remove()
    axes[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.5)
    return figure, display


def plot_images(display, X):
    """Draw images at the places of their codes, where no other is near."""
    figure, ax = plt.subplots(figsize=(9, 8), layout="constrained")
    places = display.codes / np.ptp(display.codes)
    drawn = np.empty((0, 2))
    for place, image in zip(places, X.reshape(-1, 8, 8), strict=True):
        if (np.linalg.norm(drawn - place, axis=1) > 0.025).all():
            drawn = np.vstack([drawn, place])
            x, y = place
            ax.imshow(image, cmap="gray_r", extent=(x - 0.01, x + 0.01, y - 0.01, y + 0.01))
    low, high = drawn.min(axis=0) - 0.02, drawn.max(axis=0) + 0.02
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
    ax.set_title("Test digits at the places that t-SNE gives their codes")
    return figure


def main(folder):
    """Print how well neighbours know the classes, save the pictures."""
    X, y = load_digits(return_X_y=True)
    X_train, X_test, _, y_test = train_test_split(X / 16, y, test_size=0.5, random_state=0)
    two, sixteen = fit_both(X_train)
    planes, by_tsne = plot_planes(two, sixteen, X_test, y_test)
    for name, rows in {"the 16 components": sixteen.transform(X_test), "pixels": X_test}.items():
        share = known_by_neighbours(rows, y_test)
        print(f"{name:<25}classes known by five neighbours {share:.3f}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in {"tsne": planes, "tsne_images": plot_images(by_tsne, X_test)}.items():
        figure.savefig(folder / f"latent_{name}.png", dpi=100)
        print(f"saved {folder}/latent_{name}.png")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
