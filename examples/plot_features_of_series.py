"""
===========================================
Features of series, beside those of kernels
===========================================

Cylinders, bells and funnels (Saito 1994) begin and end anywhere in a noisy series, so that no time
step by itself says which of them it is. A kernel compares series step by step, and needs
an example of each shape at each place. `WindowFeatures` learns codes of short windows at several
scales, without labels, and counts how often each is large, wherever that is: a linear SVM then
needs few labels. The settings of all models are chosen by cross-validation on the labelled series.

Run it with ``python examples/plot_features_of_series.py [folder]``, where the picture goes to
``examples/output`` unless a folder is given.
"""

import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skae.features import WindowFeatures

KINDS = ("cylinder", "bell", "funnel")
N_STEPS = 128
N_LABELLED = (12, 32, 96)


def make_series(n_series, random_state):
    """Return series, each with mean 0 and standard deviation 1, and their kinds."""
    rng = np.random.default_rng(random_state)
    y = rng.permutation(np.arange(n_series) % 3)
    X = rng.normal(size=(n_series, N_STEPS))
    for series, kind in zip(X, y, strict=True):
        start, length = rng.integers(4, 60), rng.integers(24, 64)
        height = 4 + rng.normal()
        ramp = np.linspace(0, 1, length)
        shape = (np.ones(length), ramp, ramp[::-1])[kind]
        series[start : start + length] += height * shape
    X = (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)
    return X.astype(np.float32), y


def models(seed):
    """Return a search over the settings of each model, by name."""
    svm = LinearSVC(random_state=0)
    kernel = make_pipeline(StandardScaler(), Nystroem(n_components=500, random_state=seed), svm)
    widths = [width / N_STEPS for width in (0.03, 0.1, 0.3, 1)]
    windows = make_pipeline(WindowFeatures(random_state=seed), svm)
    costs, raw = [0.001, 0.01, 0.1], make_pipeline(StandardScaler(), svm)
    grids = {
        "the series": (raw, {}),
        "Nystroem": (kernel, {"nystroem__gamma": widths}),
        "WindowFeatures": (windows, {}),
    }
    return {
        name: GridSearchCV(model, {"linearsvc__C": costs, **grid}, cv=3)
        for name, (model, grid) in grids.items()
    }


def measure(X, y, X_test, y_test):
    """Return the accuracy of each model by number of labelled series."""
    accuracies = {}
    for n in N_LABELLED:
        for name, search in models(seed=0).items():
            accuracy = search.fit(X[:n], y[:n]).score(X_test, y_test)
            accuracies.setdefault(name, []).append(accuracy)
    return accuracies


def plot_all(X, y, accuracies, features):
    """Draw some series, the accuracies, and two components of the series and of their features."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
    for kind, name in enumerate(KINDS):
        some = X[y == kind][:2] - 7 * kind
        axes[0, 0].plot(some.T, f"C{kind}", lw=0.8, label=name)
        axes[0, 0].text(N_STEPS + 2, -7 * kind, name, color=f"C{kind}")
    axes[0, 0].set(
        xlabel="time step", xlim=(0, N_STEPS + 32), yticks=[], title="two series of each kind"
    )
    for name, values in accuracies.items():
        axes[0, 1].plot(N_LABELLED, values, "o-", label=name)
    axes[0, 1].set(
        xscale="log", xticks=N_LABELLED, xticklabels=N_LABELLED, xlabel="labelled series",
        title="accuracy of a linear SVM",
    )  # fmt: skip
    axes[0, 1].minorticks_off()
    axes[0, 1].legend(loc="center left")
    rows = {"the series": X, "WindowFeatures": features}
    for ax, (name, values) in zip(axes[1], rows.items(), strict=True):
        components = PCA(2).fit_transform(values)
        for kind, label in enumerate(KINDS):
            ax.scatter(*components[y == kind].T, s=8, label=label)
        ax.set(title=f"{name} in two principal components", xticks=[], yticks=[])
    axes[1, 1].legend()
    return figure


def main(folder):
    """Print the accuracies, save the picture."""
    X, y = make_series(max(N_LABELLED), random_state=0)
    X_test, y_test = make_series(300, random_state=1)
    accuracies = measure(X, y, X_test, y_test)
    print(f"{'labelled series':<18}" + "".join(f"{n:>8}" for n in N_LABELLED))
    for name, values in accuracies.items():
        print(f"{name:<18}" + "".join(f"{value:>8.3f}" for value in values))
    features = WindowFeatures(random_state=0).fit(X).transform(X_test)
    folder.mkdir(parents=True, exist_ok=True)
    plot_all(X_test, y_test, accuracies, features).savefig(
        folder / "features_of_series.png", dpi=100
    )
    print(f"saved {folder / 'features_of_series.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_components > n_samples")
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
