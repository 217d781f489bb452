"""
=============================================
Fifty labelled digits, and more of them drawn
=============================================

A conditional variational autoencoder learns from fifty labelled digits, five of each class, and
draws a few hundred more, with their labels. Classifiers are fitted to the fifty alone, and to the
fifty with those drawn: either what each code decodes to, or pixels drawn around that.

It depends on the classifier whether that helps. Neighbours and a support vector machine gain by
decoded digits, which fill the gaps between the real ones. A tree has to see many rows, and gains
most by drawn pixels. A forest gains a little by these, and logistic regression nothing: it finds
its lines between the classes by the fifty as well. The spread is over random choices of the fifty,
and all other digits are for testing; the settings of the autoencoder were chosen on other such
choices.

Run it with ``python examples/plot_augmentation.py [folder]``; the picture goes to
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
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from skae import ConditionalVariationalAutoencoder
from skae.plotting import ComponentsDisplay

N_LABELLED, N_DRAWN, N_SPLITS = 50, 600, 8

CLASSIFIERS = {
    "decision tree": DecisionTreeClassifier(random_state=0),
    "3 nearest neighbours": KNeighborsClassifier(3),
    "support vector machine": SVC(),
    "random forest": RandomForestClassifier(random_state=0),
    "logistic regression": LogisticRegression(max_iter=1000),
}


def draw_more(X, y):
    """Return labels, and digits of them drawn in two ways by what has learned from the rows."""
    autoencoder = ConditionalVariationalAutoencoder(
        8,
        likelihood="bernoulli",
        learning_rate=2e-3,
        batch_size=20,
        max_iter=400,
        tol=0,
        n_iter_no_change=400,
        random_state=0,
    ).fit(X, y)
    labels = np.repeat(np.arange(10), N_DRAWN // 10)
    settings = {"y": labels, "random_state": 0}
    return labels, {
        "decoded": autoencoder.sample(N_DRAWN, return_mean=True, **settings),
        "drawn pixels": autoencoder.sample(N_DRAWN, **settings),
    }


def measure(X, y):
    """Return the test accuracies by what was added and by classifier, one for each split."""
    splits = StratifiedShuffleSplit(N_SPLITS, train_size=N_LABELLED, random_state=0)
    accuracies = {}
    for train, test in splits.split(X, y):
        labels, drawn = draw_more(X[train], y[train])
        for added, rows in {"nothing": np.empty((0, 64)), **drawn}.items():
            X_more = np.vstack([X[train], rows])
            y_more = np.concatenate([y[train], labels[: len(rows)]])
            for name, classifier in CLASSIFIERS.items():
                score = classifier.fit(X_more, y_more).score(X[test], y[test])
                accuracies.setdefault(added, {}).setdefault(name, []).append(score)
    return accuracies, (X[train], y[train], drawn["decoded"], labels)


def plot(accuracies, digits):
    """Draw labelled and drawn digits, and what each classifier gains in each split."""
    X, y, decoded, labels = digits
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(13, 4.6), layout="constrained", width_ratios=[1, 2, 3]
    )
    by_class = np.argsort(y, kind="stable")
    labelled = X[by_class].reshape(-1, 8, 8)
    ComponentsDisplay(labelled, signed=False).plot(left, n_columns=N_LABELLED // 10)
    left.set(title=f"{N_LABELLED} labelled digits")
    some = np.concatenate([np.flatnonzero(labels == k)[:10] for k in range(10)])
    ComponentsDisplay(decoded[some].reshape(-1, 8, 8), signed=False).plot(middle, n_columns=10)
    middle.set(title="some of those decoded")
    places = np.arange(len(CLASSIFIERS))
    for shift, (added, colour) in zip(
        (-0.15, 0.15), {"decoded": "#0072B2", "drawn pixels": "#D55E00"}.items(), strict=True
    ):
        gains = np.array(
            [
                100 * np.subtract(accuracies[added][name], accuracies["nothing"][name])
                for name in CLASSIFIERS
            ]
        )
        right.scatter(gains, np.tile(places + shift, (N_SPLITS, 1)).T, 12, colour, alpha=0.4)
        right.plot(gains.mean(axis=1), places + shift, "D", color=colour, ms=8, label=added)
    right.axvline(0, color="k", lw=0.8)
    right.set_yticks(
        places, [f"{one}\n{100 * np.mean(accuracies['nothing'][one]):.1f} %" for one in CLASSIFIERS]
    )
    right.set(xlabel="gain of test accuracy in points, each split and the mean")
    right.set(title=f"{N_DRAWN} digits added, by classifier (accuracy without)")
    right.invert_yaxis()
    right.legend()
    return figure


def main(folder):
    """Print the accuracies, save the picture."""
    X, y = load_digits(return_X_y=True)
    accuracies, digits = measure(X / 16, y)
    print(f"{'test accuracy, and gain by':<26}{'nothing':>10}{'decoded':>18}{'drawn pixels':>18}")
    for name in CLASSIFIERS:
        alone, *others = (np.array(scores[name]) for scores in accuracies.values())
        gains = [f"{(one - alone).mean():+.3f} ± {(one - alone).std():.3f}" for one in others]
        print(f"{name:<26}{alone.mean():>10.3f}" + "".join(f"{gain:>18}" for gain in gains))
    folder.mkdir(parents=True, exist_ok=True)
    plot(accuracies, digits).savefig(folder / "augmentation.png", dpi=100)
    print(f"saved {folder / 'augmentation.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
