"""
=========================================
Sparse codes: filters, and digits by them
=========================================

A sparse autoencoder with lifetime sparsity learns 512 filters of the 8 x 8 digits: each is
won over in training by the few images of a batch that excite it most. A linear SVM on its
code, without any labels in the learning of the code, comes close to a kernel machine on
the pixels. The parameters are chosen by a grid search on the training part alone.

Run it with ``python examples/plot_sparse_filters.py [folder]``; the picture goes to
``examples/output`` unless a folder is given.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import LinearSVC

from skae import SparseAutoencoder
from skae.plotting import ComponentsDisplay, SearchDisplay


def search_parameters(X_train, y_train, cache):
    """Return the fitted grid search."""
    learner = SparseAutoencoder(
        512,
        sparsity="lifetime",
        hidden_layers=(),
        learning_rate=3e-3,
        batch_size=100,
        max_iter=200,
        tol=0,
        n_iter_no_change=200,
        random_state=0,
    )
    pipeline = Pipeline(
        [("learner", learner), ("scaler", MinMaxScaler()), ("svm", LinearSVC(random_state=0))],
        memory=cache,  # a learner is fitted once for all C
    )
    grid = {"learner__lifetime_fraction": [0.02, 0.05], "svm__C": [0.1, 0.3, 1, 3]}
    return GridSearchCV(pipeline, grid, n_jobs=2).fit(X_train, y_train)


def plot_filters(search, n_filters=120):
    """Draw what the most active units add to an image, and how the search went."""
    learner = search.best_estimator_["learner"]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 5), layout="constrained", width_ratios=[2, 1]
    )
    units = np.argsort(-learner.mean_activation_)[:n_filters]
    ComponentsDisplay.from_estimator(learner, components=units, n_columns=15, ax=left)
    n_dead = len(learner.dead_units_)
    left.set_title(f"{n_filters} of {learner.n_components} filters; {n_dead} units are dead")
    names = "svm__C", "learner__lifetime_fraction"
    SearchDisplay.from_estimator(search, *names, values_format=".4f", ax=right)
    right.set_title("accuracy in cross-validation")
    return figure


def main(folder):
    """Search, print the accuracies, save the picture."""
    X, y = load_digits(return_X_y=True)
    X = X / 16  # pixels between 0 and 1
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.35, random_state=0)
    with tempfile.TemporaryDirectory() as cache:
        search = search_parameters(X_train, y_train, cache)
    print(f"test accuracy {search.score(X_test, y_test):.4f}, CV accuracy {search.best_score_:.4f}")
    print(f"chosen: {search.best_params_}")
    folder.mkdir(parents=True, exist_ok=True)
    plot_filters(search).savefig(folder / "sparse_filters.png", dpi=100)
    print(f"saved {folder / 'sparse_filters.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
