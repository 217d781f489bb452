"""
==================================
Filling in a block that is missing
==================================

From each of scikit-learn's digits a block of 4 x 4 pixels is removed, a quarter of the image.
Denoising autoencoders that learned to do without any number of pixels (masking noise, whose level
is drawn for each row) fill it in by `inpaint`: they rebuild the image again and again, as long as
the pixels that are known come out better. Six of them, trained as one batch by `skae.fit_many`,
differ where the rest of the image does not decide; the mean of what they fill in is better than
each.

Beside them stand the mean image, a linear autoencoder, which is PCA, and scikit-learn's
`KNNImputer`, which takes the mean of the training images that are nearest by the known pixels. On
small images like these, with training images of all kinds, it is as good as the networks; but it
has to keep the training images and to search them.

The numbers of components, neighbours and epochs were chosen on a part of the training images.

Run it with ``python examples/plot_filled_blocks.py [folder]``; the picture goes to
``examples/output`` unless a folder is given.
"""

import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import KNNImputer
from sklearn.model_selection import train_test_split

from skae import Autoencoder, DenoisingAutoencoder, fit_many
from skae.plotting import ReconstructionDisplay

SIDE, N_NETWORKS = 4, 6


def remove_blocks(X, random_state):
    """Return which pixels are missing: a block of each image, somewhere inside."""
    corners = np.random.default_rng(random_state).integers(1, 8 - SIDE, size=(len(X), 2))
    missing = np.zeros((len(X), 8, 8), dtype=bool)
    for image, (row, column) in zip(missing, corners, strict=True):
        image[row : row + SIDE, column : column + SIDE] = True
    return missing.reshape(X.shape)


def fill_by_each(X_train, gaps, missing):
    """Return images without gaps, by each method."""
    mean = X_train.mean(axis=0)
    linear = Autoencoder(4, hidden_layers=(), init="pca", max_iter=20, random_state=0).fit(X_train)
    networks = [
        DenoisingAutoencoder(
            64,
            hidden_layers=(256,),
            noise="masking",
            noise_level=1.0,
            noise_schedule="uniform",
            learning_rate=2e-3,
            learning_rate_schedule="cosine",
            batch_size=50,
            max_iter=150,
            tol=0,
            n_iter_no_change=150,
            random_state=seed,
        )
        for seed in range(N_NETWORKS)
    ]
    filled = [one.inpaint(gaps, missing) for one in fit_many(networks, X_train)]
    return {
        "mean image": np.where(missing, mean, gaps),
        "PCA": linear.inpaint(gaps, missing, fill_value=mean),
        "one network": filled[0],
        f"mean of {N_NETWORKS}": np.mean(filled, axis=0),
        "neighbours": KNNImputer(weights="distance").fit(X_train).transform(gaps),
    }


def main(folder):
    """Print the errors in the block, save the picture."""
    X_train, X_test = train_test_split(load_digits().data / 16, test_size=0.35, random_state=0)
    missing = remove_blocks(X_test, random_state=0)
    gaps = np.where(missing, np.nan, X_test)
    filled = fill_by_each(X_train, gaps, missing)
    errors = {name: ((rows - X_test)[missing] ** 2).mean() for name, rows in filled.items()}
    for name, error in errors.items():
        print(f"{name:<12}mean squared error of a missing pixel {error:.4f}")
    rows = {"original": X_test, "removed": gaps}
    rows |= {f"{name}\n{errors[name]:.3f}": images for name, images in filled.items()}
    display = ReconstructionDisplay(
        {name: images[:12].reshape(-1, 8, 8) for name, images in rows.items()}
    )
    figure = display.plot().figure_
    figure.suptitle("A block filled in; mean squared error of its pixels, all test images")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "filled_blocks.png", dpi=100)
    print(f"saved {folder / 'filled_blocks.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
