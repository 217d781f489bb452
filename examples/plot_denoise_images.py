"""
==========================
Removing noise from images
==========================

Scikit-learn's digits with strong gaussian noise, cleaned by a denoising autoencoder with
convolutional layers, by one with fully connected layers, and by PCA. All learn from clean
images alone, and are compared on other images by the mean squared error to the clean
ones.

Run it with ``python examples/plot_denoise_images.py [folder]``, where the picture goes to
``examples/output`` unless a folder is given.
"""

import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skae import DenoisingAutoencoder
from skae.layers import Conv2d
from skae.plotting import ReconstructionDisplay

NOISE_LEVEL = 0.4
TRAINING = {
    "noise": "gaussian",
    "noise_level": NOISE_LEVEL,
    "learning_rate": 3e-3,
    "batch_size": 50,
    "max_iter": 60,
    "random_state": 0,
}


def clean_by_each(train, noisy):
    """Return the noisy images as each method cleans them."""
    layers = Conv2d((1, 8, 8), channels=(32, 64), activation="gelu")
    convolutional = DenoisingAutoencoder(64, hidden_layers=layers, **TRAINING).fit(train)
    # Only convolutional layers know the shape of an image; the others need flat rows.
    train_rows, noisy_rows = train.reshape(-1, 64), noisy.reshape(-1, 64)
    dense = DenoisingAutoencoder(64, hidden_layers=(256,), **TRAINING).fit(train_rows)
    pca = PCA(10).fit(train_rows)  # more components keep more noise
    return {
        "Conv2d": convolutional.reconstruct(noisy),
        "Dense": dense.reconstruct(noisy_rows).reshape(noisy.shape),
        "PCA": pca.inverse_transform(pca.transform(noisy_rows)).reshape(noisy.shape),
    }


def main(folder):
    """Print the errors, save the picture, and return the errors."""
    images = load_digits().images / 16  # (1797, 8, 8), between 0 and 1
    train, test = train_test_split(images, test_size=0.35, random_state=0)
    noisy = test + np.random.default_rng(0).normal(0, NOISE_LEVEL, test.shape)
    cleaned = {"noisy": noisy, **clean_by_each(train, noisy)}
    errors = {name: ((result - test) ** 2).mean() for name, result in cleaned.items()}
    for name, error in errors.items():
        print(f"{name:<8}mean squared error per pixel {error:.4f}")
    rows = {"clean": test, **cleaned}
    display = ReconstructionDisplay(
        {
            name if name == "clean" else f"{name}\n{errors[name]:.4f}": row[:10]
            for name, row in rows.items()
        }
    )
    figure = display.plot().figure_
    figure.suptitle(f"Digits with gaussian noise of standard deviation {NOISE_LEVEL}")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "denoise_images.png", dpi=100)
    print(f"saved {folder / 'denoise_images.png'}")
    return errors


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
