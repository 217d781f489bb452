"""
===================================
Attacks that were never seen before
===================================

NSL-KDD has connections to a network, normal ones and attacks. A denoising autoencoder learns
normal connections alone, through a ``ColumnTransformer`` with one-hot codes for the texts and
ranks for the numbers, and is tested on KDDTest+, whose attacks are all unknown to it. Noise that
swaps entries between rows suits columns of different kinds. The threshold comes from normal
connections that were held out.

The normal traffic of the test set is not that of the training set: more of it than the 5 % asked
for is called an attack.

Run it with ``python examples/plot_network_intrusion.py [folder]``, where the picture goes to
``examples/output`` unless a folder is given. It needs NSL-KDD, see
`skae.datasets.fetch_nsl_kdd`, and ends without it.
"""

import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer

from skae import DenoisingAutoencoder
from skae.datasets import fetch_nsl_kdd
from skae.outlier import OutlierDetector


def make_detector():
    """Return a pipeline from the table to the detector."""
    columns = make_column_transformer(
        (QuantileTransformer(), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    ).set_output(transform="pandas")
    autoencoder = DenoisingAutoencoder(
        32,
        noise="swap",
        noise_level=0.3,
        batch_size=256,
        max_iter=60,
        tol=0,
        n_iter_no_change=60,
    )
    detector = OutlierDetector(
        autoencoder, contamination=0.05, calibration_fraction=0.3, random_state=0
    )
    return make_pipeline(columns, detector)


def plot_scores(scores, offset, kinds):
    """Draw the histogram of the errors of each kind of connection."""
    names = ["normal", "dos", "probe", "r2l", "u2r"]
    figure, axes = plt.subplots(len(names), 1, figsize=(8, 7), sharex=True, layout="constrained")
    bins = np.geomspace(-scores.max(), -scores.min(), 80)
    for name, ax in zip(names, axes, strict=True):
        of_kind = scores[kinds == name]
        below = (of_kind < offset).mean()
        ax.hist(-of_kind, bins, color="C0" if name == "normal" else "C3", alpha=0.7)
        ax.axvline(-offset, color="k", ls="--")
        ax.set(xscale="log", yticks=[], ylabel=name)
        ax.set_title(f"{below:.0%} of {len(of_kind)} called attacks", fontsize=9, loc="right")
    axes[-1].set_xlabel("mean squared error (minus the score); threshold dashed")
    return figure


def main(folder):
    """Print the figures, save the picture."""
    try:
        X_train, y_train = fetch_nsl_kdd(return_X_y=True, as_frame=True)
        test = fetch_nsl_kdd(subset="test", as_frame=True)
    except (ImportError, OSError) as error:
        print(f"skipped: {error}")
        return
    pipeline = make_detector().fit(X_train[y_train == "normal"])
    is_attack = test.target != "normal"
    scores, called = pipeline.score_samples(test.data), pipeline.predict(test.data) == -1
    print(f"ROC-AUC {roc_auc_score(is_attack, -scores):.4f}")
    print(f"F1 {f1_score(is_attack, called):.4f}, accuracy {accuracy_score(is_attack, called):.4f}")
    print(f"false alarms {called[~is_attack].mean():.3f}")
    detector, rows = pipeline[-1], pipeline[:-1].transform(test.data)
    for attack in ("neptune", "mscan", "guess_passwd"):
        names = detector.top_features(rows[test.target == attack], 3).ravel()
        named, times = np.unique(names, return_counts=True)
        often = [name.split("__")[1] for name in named[np.argsort(-times)[:3]]]
        print(f"{attack} stands out by {', '.join(often)}")
    folder.mkdir(parents=True, exist_ok=True)
    figure = plot_scores(scores, detector.offset_, test.attack_class)
    figure.savefig(folder / "network_intrusion.png", dpi=100)
    print(f"saved {folder / 'network_intrusion.png'}")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
