"""
======================================================
A grid of 120 networks before a linear SVM, in one run
======================================================

Which noise and which learning rate make a denoising autoencoder good at features for a linear
SVM? A grid of 12 levels of noise and 10 learning rates, with 3 folds each, is 360 networks. They
are small, and a machine spends most of their training on overhead; `BatchedGridSearchCV` trains
them together, and has the results of scikit-learn's `GridSearchCV`. What that one takes is
measured on a few of the candidates.

Run it with ``python examples/plot_grid_search.py [folder]``; the picture goes to
``examples/output`` unless a folder is given.
"""

import sys
import time
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import LinearSVC

from skae import DenoisingAutoencoder
from skae.model_selection import BatchedGridSearchCV
from skae.plotting import SearchDisplay

GRID = {
    "denoisingautoencoder__learning_rate": np.geomspace(1e-4, 1e-1, 10).round(5),
    "denoisingautoencoder__noise_level": np.linspace(0.0, 1.1, 12).round(2),
}
N_FOLDS = 3


def seconds(function):
    """Return how long a call takes, and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def main(folder: Path) -> None:
    """Search, compare, and draw the scores."""
    warnings.filterwarnings("ignore", category=ConvergenceWarning)  # all train as long
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0)
    pipeline = make_pipeline(
        MinMaxScaler(),
        DenoisingAutoencoder(32, hidden_layers=(), max_iter=40, tol=0, random_state=0),
        LinearSVC(C=0.1),
    )

    search = BatchedGridSearchCV(pipeline, GRID, cv=N_FOLDS)
    taken, _ = seconds(lambda: search.fit(X_train, y_train))
    n_candidates = len(search.cv_results_["params"])
    print(f"{n_candidates} candidates x {N_FOLDS} folds in one run: {taken:.1f} s")

    few = {name: values[::4] for name, values in GRID.items()}
    alone = GridSearchCV(pipeline, few, cv=N_FOLDS, refit=False)
    taken_alone, _ = seconds(lambda: alone.fit(X_train, y_train))
    n_alone = len(alone.cv_results_["params"])
    expected = taken_alone * n_candidates / n_alone
    print(f"one at a time, by {n_alone} of the candidates: {expected:.1f} s")
    together = {str(p): s for p, s in zip(*scores_of(search), strict=True)}
    differences = [abs(together[str(p)] - s) for p, s in zip(*scores_of(alone), strict=True)]
    print(f"largest difference of a mean score: {max(differences):.6f}")
    print(f"best: {search.best_params_}, {search.best_score_:.3f} in cross-validation")
    print(f"accuracy of the best on test images: {search.score(X_test, y_test):.3f}")

    figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
    noise, rate = sorted(GRID, reverse=True)
    SearchDisplay.from_estimator(search, noise, rate, ax=ax)
    ax.set_title("Accuracy of a linear SVM on the code, by cross-validation")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "grid_search.png", dpi=100)


def scores_of(search):
    """Return the candidates of a search, and their mean scores."""
    return search.cv_results_["params"], search.cv_results_["mean_test_score"]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "output")
