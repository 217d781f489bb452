"""
==============================================
Boltzmann machine features for digits, samples
==============================================

The setting of scikit-learn's own example: digits, and copies of them moved by a pixel in each
direction, through a Boltzmann machine of 100 hidden units to a linear classifier. Rectified
linear hidden units say more to the classifier than binary ones. The parameters are chosen by
cross-validation on the training part.

The second picture shows what the machine has learned: its weights, rows drawn from it, and how
its training went.

Run it with ``python examples/plot_rbm_digits.py [folder]``; the pictures go to
``examples/output`` unless a folder is given.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import shift
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import minmax_scale
from sklearn.svm import LinearSVC

from skae import BernoulliRBM
from skae.plotting import ComponentsDisplay, LossCurveDisplay


def nudged_digits():
    """Return the digits and their copies moved by a pixel up, down, left and right."""
    X, y = load_digits(return_X_y=True)
    images = X.reshape(-1, 8, 8).astype(np.float32)
    moves = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    moved = [shift(images, (0, *move), order=0).reshape(-1, 64) for move in moves]
    return minmax_scale(np.concatenate(moved)), np.tile(y, len(moves))


def search_parameters(X_train, y_train, cache):
    """Return the fitted grid search."""
    machine = BernoulliRBM(
        100,
        hidden="relu",
        learning_rate_schedule="linear",
        device="cpu",
        random_state=0,
    )
    pipeline = Pipeline(
        [("machine", machine), ("svm", LinearSVC(dual=False, random_state=0))],
        memory=cache,  # a machine is fitted once for all C
    )
    grid = {"machine__learning_rate": [0.03, 0.06], "svm__C": [10, 100, 1000]}
    return GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X_train, y_train)


def plot_machine(machine):
    """Draw weights, samples and the course of the training."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    ComponentsDisplay.from_estimator(machine, components=64, ax=left)
    left.set_title("weights of 64 units")
    drawn = machine.sample(64).reshape(-1, 8, 8)
    ComponentsDisplay(drawn, signed=False).plot(middle)
    middle.set_title("rows drawn from the machine")
    LossCurveDisplay.from_estimator(
        machine, names=["pseudo_likelihood"], ylabel="nats", marker="o", ax=right
    )
    return figure


def main(folder):
    """Search, print the accuracies, save the picture."""
    X, y = nudged_digits()
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
    with tempfile.TemporaryDirectory() as cache:
        search = search_parameters(X_train, y_train, cache)
    print(f"test accuracy {search.score(X_test, y_test):.4f}, CV accuracy {search.best_score_:.4f}")
    print(f"chosen: {search.best_params_}")
    folder.mkdir(parents=True, exist_ok=True)
    plot_machine(search.best_estimator_["machine"]).savefig(folder / "rbm_digits.png", dpi=100)
    print(f"saved {folder / 'rbm_digits.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
