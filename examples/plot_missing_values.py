"""
===================================
Missing pixels filled in, four ways
===================================

A third of all pixels of scikit-learn's digits are missing, others in each image. A denoising
autoencoder with ``missing_values="mask"`` learns from what is left: its loss is over observed
pixels, of which its noise hides some more, so that it learns to say what stood there. Its encoder
is told which pixels are missing (`mask_as_input`), and is given their reconstruction in their place
(`n_refinements`), in training as well.

Beside it, from the same rows: the mean of the column, scikit-learn's `IterativeImputer` (a linear
regression of each column on all others, in turns) and its `KNNImputer` (the mean of the rows
that are nearest by what both have).

Run it with ``python examples/plot_missing_values.py [folder]``; the picture goes to
``examples/output`` unless a folder is given.
"""

import sys
import warnings
from pathlib import Path
from time import perf_counter

import matplotlib

matplotlib.use("Agg")
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from skae import DenoisingAutoencoder
from skae.plotting import ReconstructionDisplay


def impute_by_network(gaps):
    """Return the rows filled in by a denoising autoencoder."""
    network = DenoisingAutoencoder(
        64,
        hidden_layers=(256,),
        noise="masking",
        noise_level=0.5,
        noise_schedule="uniform",
        missing_values="mask",
        mask_as_input=True,
        n_refinements=3,
        learning_rate=3e-3,
        learning_rate_schedule="linear",
        batch_size=100,
        max_iter=250,
        n_iter_no_change=250,
        random_state=0,
    )
    return network.fit(gaps).impute(gaps)


def main(folder):
    """Print the errors of the missing pixels and the seconds, save the picture."""
    X = load_digits().data[:1000] / 16
    missing = np.random.default_rng(0).random(X.shape) < 1 / 3
    missing[:, X.std(axis=0) < 0.01] = False  # the corners are white in nearly all images
    gaps = np.where(missing, np.nan, X)
    imputers = {
        "mean": SimpleImputer().fit_transform,
        "iterative": IterativeImputer(max_iter=3, random_state=0).fit_transform,
        "neighbours": KNNImputer(weights="distance").fit_transform,
        "network": impute_by_network,
    }
    rows = {"original": X, "missing": np.where(missing, 0.5, X)}
    for name, impute in imputers.items():
        start = perf_counter()
        filled = impute(gaps)
        seconds = perf_counter() - start
        error = np.sqrt(np.square(filled - X)[missing].mean())
        print(f"{name:<11}RMSE of a missing pixel {error:.3f}, {seconds:.1f} s")
        rows[f"{name}\n{error:.3f}"] = filled
    display = ReconstructionDisplay(
        {name: images[:12].reshape(-1, 8, 8) for name, images in rows.items()}
    )
    figure = display.plot().figure_
    figure.suptitle("A third of the pixels filled in; RMSE over all images")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "missing_values.png", dpi=100)
    print(f"saved {folder / 'missing_values.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
