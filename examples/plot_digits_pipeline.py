"""
=============================================
Features for a linear SVM: handwritten digits
=============================================

Five ways to describe the 8 x 8 images of scikit-learn's digits, each in a Pipeline before
a scaler and a linear SVM: the raw pixels, PCA, scikit-learn's Bernoulli RBM, an
autoencoder and a denoising autoencoder. The parameters of each learner and of the SVM are
chosen by a grid search on the training part alone; the test part is used once.

Run it with ``make demo``, or ``python examples/plot_digits_pipeline.py [folder]``, where
the pictures go to ``examples/output`` unless a folder is given.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import LinearSVC

from skae import Autoencoder, DenoisingAutoencoder
from skae.plotting import LatentSpaceDisplay, LossCurveDisplay, ReconstructionDisplay

#: A hidden layer of 256 ReLU units, before a code of ReLU units.
NETWORK = {
    "hidden_layers": (256,),
    "code_activation": "relu",
    "batch_size": 50,
    "max_iter": 60,
    "tol": 0,
    "random_state": 0,
}

#: Each learner with the parameters to search.
LEARNERS = {
    "raw pixels": ("passthrough", {}),
    "PCA": (PCA(random_state=0), {"n_components": [20, 30, 40]}),
    "BernoulliRBM": (
        BernoulliRBM(n_components=100, n_iter=20, random_state=0),
        {"learning_rate": [0.03, 0.1]},
    ),
    "Autoencoder": (
        Autoencoder(**NETWORK),
        {"n_components": [64, 512]},
    ),
    "DenoisingAutoencoder": (
        DenoisingAutoencoder(512, **NETWORK),
        {"noise_level": [0.3, 0.5]},
    ),
}


def search_each(X_train, y_train, cache):
    """Return the fitted search of each learner."""
    searches = {}
    for name, (learner, grid) in LEARNERS.items():
        pipeline = Pipeline(
            [
                ("learner", learner),
                ("scaler", MinMaxScaler()),
                ("svm", LinearSVC(random_state=0)),
            ],
            memory=cache,  # a learner is fitted once for all C
        )
        grid = {f"learner__{key}": values for key, values in grid.items()}
        search = GridSearchCV(pipeline, grid | {"svm__C": [0.1, 0.3, 1, 3]}, cv=3, n_jobs=2)
        searches[name] = search.fit(X_train, y_train)
    return searches


def print_table(searches, X_test, y_test):
    """Print the accuracies, and return those on the test part."""
    print(f"{'features':<22}{'test accuracy':>14}{'CV accuracy':>13}{'fit seconds':>13}  chosen")
    accuracies = {}
    for name, search in searches.items():
        accuracies[name] = search.score(X_test, y_test)
        chosen = ", ".join(
            f"{key.split('__')[1]}={value}" for key, value in search.best_params_.items()
        )
        print(
            f"{name:<22}{accuracies[name]:>14.4f}{search.best_score_:>13.4f}"
            f"{search.refit_time_:>13.2f}  {chosen}"
        )
    return accuracies


def plot_reconstructions(denoiser, images):
    """Draw images, what the denoiser saw of such in training, and what it makes of that."""
    corrupted = denoiser.corrupt(images, random_state=0)
    rows = {
        "original": images,
        "corrupted": corrupted,
        "rebuilt": denoiser.reconstruct(corrupted),
    }
    display = ReconstructionDisplay({name: row.reshape(-1, 8, 8) for name, row in rows.items()})
    figure = display.plot().figure_
    figure.suptitle(f"{denoiser.noise} noise, level {denoiser.noise_level}")
    return figure


def plot_loss_curves(learners):
    """Draw the training loss of each learner."""
    curves = {name: learner.loss_curve_ for name, learner in learners.items()}
    display = LossCurveDisplay(curves, ylabel="mean squared error per pixel").plot()
    display.ax_.set_yscale("log")
    return display.figure_


def plot_codes(learner, X, y):
    """Draw codes of two numbers, coloured by digit."""
    display = LatentSpaceDisplay.from_estimator(learner, X, y)
    display.ax_.set_title("Test images coded in two numbers")
    return display.figure_


def main(folder):
    """Search, print the table, save the pictures, and return the test accuracies."""
    X, y = load_digits(return_X_y=True)
    X = X / 16  # pixels between 0 and 1
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.35, random_state=0)
    with tempfile.TemporaryDirectory() as cache:
        searches = search_each(X_train, y_train, cache)
    accuracies = print_table(searches, X_test, y_test)

    best = {
        name: searches[name].best_estimator_ for name in ("Autoencoder", "DenoisingAutoencoder")
    }
    denoiser = best["DenoisingAutoencoder"]["learner"]
    print(f"device: {denoiser.device_}")
    two = Autoencoder(2, hidden_layers=(256, 64), batch_size=50, max_iter=150, random_state=0)
    two.fit(X_train)
    figures = {
        "digits_denoised": plot_reconstructions(denoiser, X_test[:12]),
        "digits_loss_curves": plot_loss_curves(
            {name: one["learner"] for name, one in best.items()}
        ),
        "digits_two_components": plot_codes(two, X_test, y_test),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=100)
        print(f"saved {folder / name}.png")
    return accuracies


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
