"""
====================================
Which feature makes a row an outlier
====================================

In some rows of scikit-learn's breast cancer data, one feature is replaced by that of another
row, as if it had been typed into the wrong line. Its value is usual by itself, but does not go
with the others. `explain` splits the score of a row into contributions of its features; the
lowest one should be that of the wrong entry.

An autoencoder is asked, whose contributions are the errors of the features, and PCA, whose
contributions are Shapley values of its likelihood. Those say what each value brings where the
usual value would stand; a value that is usual, and wrong only beside the others, they find
less often.

Run it with ``python examples/plot_explain_outliers.py [folder]``, where the picture goes to
``examples/output`` unless a folder is given.
"""

import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skae import DenoisingAutoencoder
from skae.outlier import OutlierDetector
from skae.plotting import ExplanationDisplay


def swap_entries(X, random_state):
    """Return a copy in which each row has one entry of another row, and its column."""
    rng = np.random.default_rng(random_state)
    values, rows = X.to_numpy(), np.arange(len(X))
    columns = rng.integers(X.shape[1], size=len(X))
    other = (rows + rng.integers(1, len(X), size=len(X))) % len(X)
    swapped = values.copy()
    swapped[rows, columns] = values[other, columns]
    # Where the two values are alike, nothing is wrong.
    wrong = np.abs(swapped - values)[rows, columns] > 1
    return X[wrong].assign(**dict(zip(X.columns, swapped[wrong].T, strict=True))), columns[wrong]


def plot_contributions(contributions, columns):
    """Draw the contributions of each feature to the scores, the wrong entries framed."""
    names = list(contributions)
    display = ExplanationDisplay(contributions.to_numpy(), feature_names=names)
    display.plot(max_features=len(names), relative=True)
    for row, column in enumerate(columns):
        display.ax_.add_patch(
            plt.Rectangle((row - 0.5, column - 0.5), 1, 1, fill=False, ec="C1", lw=1.5)
        )
    display.ax_.set(xticks=[], xlabel="rows with one wrong entry, framed")
    return display.figure_


def main(folder):
    """Print how often the wrong entry is found, save the picture."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    benign = X[y == 1]
    train, test = train_test_split(benign, test_size=0.4, random_state=0)
    scaler = StandardScaler().set_output(transform="pandas").fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    wrong, columns = swap_entries(test, random_state=0)
    names = wrong.columns.to_numpy()
    learners = {
        "DenoisingAutoencoder": DenoisingAutoencoder(
            16, noise="swap", noise_level=0.1, max_iter=1000, tol=0, n_iter_no_change=1000
        ),
        "PCA": PCA(10),
    }
    for name, learner in learners.items():
        detector = OutlierDetector(learner, random_state=0).fit(train)
        scores = np.r_[detector.score_samples(test), detector.score_samples(wrong)]
        auc = roc_auc_score(np.arange(len(scores)) < len(test), scores)
        top = detector.top_features(wrong, 3)
        first, third = ((top[:, :k] == names[columns][:, None]).any(axis=1).mean() for k in (1, 3))
        print(
            f"{name:<22}ROC-AUC {auc:.3f}; of the wrong entries {first:.2f} have the lowest "
            f"contribution, {third:.2f} are among the lowest three"
        )
        if name == "DenoisingAutoencoder":
            explained = detector.explain(wrong)
            total = detector.score_samples(wrong)
            print(f"contributions less scores: {np.abs(explained.sum(axis=1) - total).max():.1e}")
    folder.mkdir(parents=True, exist_ok=True)
    figure = plot_contributions(explained[:40], columns[:40])
    figure.savefig(folder / "explain_outliers.png", dpi=100)
    print(f"saved {folder / 'explain_outliers.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
