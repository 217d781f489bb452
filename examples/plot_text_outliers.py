"""
===================================
Texts that are about something else
===================================

An embedding turns a text into some numbers, and a detector asks which texts are unlike those it has
seen. The texts are the docstrings of scipy, which are on any machine that runs this. Each of its
modules in turn is the stranger: the detector learns texts of all other modules, and is tested on
other texts of theirs and on those of the stranger.

The embedding is latent semantic analysis: weights of words (`TfidfVectorizer`), of which
`TruncatedSVD` makes 64 numbers, brought to length 1. It learns from the same texts, so it
knows nothing of the stranger's subject, and a text about that lies in the middle of everything.
Detectors that look for rows far out often find the strangers more normal than the others. What
tells them is that no text is near: the distance from the nearest one alone does it, and so does
`skae.OutlierDetector` by its default learner. Every detector has its default settings.

`OutlierDetector` adds the threshold. An embedding knows the texts from which it was learned, and
puts new ones elsewhere; so it is a part of the learner here, which is a pipeline, and new to the
texts that are held out for calibration. The false alarms are then about the 5 % asked for.
Embeddings by a language model may stand in its place, and those of images: a detector sees
numbers.

Run it with ``python examples/plot_text_outliers.py [folder]``; the picture goes to
``examples/output`` unless a folder is given.
"""

import inspect
import sys
from importlib import import_module
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer
from sklearn.svm import OneClassSVM

from skae import OutlierDetector
from skae.autoencoders import CodebookEnsemble
from skae.plotting import LatentSpaceDisplay, ScoreHistogramDisplay

MODULES = ["fft", "integrate", "interpolate", "linalg", "ndimage", "optimize", "signal", "sparse"]
MODULES += ["special", "stats"]
SHOWN = "linalg"

OTHERS = {
    "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
    "IsolationForest": IsolationForest(random_state=0),
    "OneClassSVM": OneClassSVM(),
}
NAMES = ["OutlierDetector", "nearest neighbour", *OTHERS]


def load_texts():
    """Return the docstrings of public functions and classes, and the module of each."""
    texts = {}
    for module in MODULES:
        for name, member in vars(import_module(f"scipy.{module}")).items():
            text = inspect.getdoc(member) if callable(member) and name[0] != "_" else None
            if text and len(text) > 300:
                texts.setdefault(text, module)  # one that is in two modules, once
    return np.array(list(texts), dtype=object), np.array(list(texts.values()))


def make_embedding():
    """Return what makes numbers of a column of texts."""
    words = TfidfVectorizer(
        sublinear_tf=True, stop_words="english", min_df=3, token_pattern=r"[a-zA-Z]{3,}"
    )
    svd = TruncatedSVD(64, random_state=0)
    return make_pipeline(FunctionTransformer(np.ravel), words, svd, Normalizer())


def leave_out(module, texts, modules):
    """Return texts of other modules to learn, texts to test, and which of these are no strangers.

    Each is a row of a table with one column.
    """
    learned, tested = train_test_split(
        np.arange(len(texts)), test_size=0.4, stratify=modules, random_state=0
    )
    learned = learned[modules[learned] != module]
    return texts[learned, None], texts[tested, None], modules[tested] != module


def fit_detector(texts):
    """Return a fitted detector of texts."""
    return OutlierDetector(
        make_pipeline(*make_embedding()[:], CodebookEnsemble()),
        contamination=0.05,
        calibration_fraction=0.3,
        random_state=0,
    ).fit(texts)


def measure(module, texts, modules):
    """Return the ROC-AUC of each detector where a module is the stranger."""
    learned, tested, is_own = leave_out(module, texts, modules)
    embedding = make_embedding().fit(learned)
    rows, test_rows = embedding.transform(learned), embedding.transform(tested)
    distances, _ = NearestNeighbors(n_neighbors=1).fit(rows).kneighbors(test_rows)
    scores = [fit_detector(learned).score_samples(tested), -distances[:, 0]]
    scores += [detector.fit(rows).score_samples(test_rows) for detector in OTHERS.values()]
    return [roc_auc_score(is_own, one) for one in scores]


def plot(aucs, texts, modules):
    """Draw embeddings and scores with one stranger, and the ROC-AUC with each."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(16, 4.8), layout="constrained")
    learned, tested, is_own = leave_out(SHOWN, texts, modules)
    kinds = np.where(is_own, "other modules", f"scipy.{SHOWN}")
    LatentSpaceDisplay.from_estimator(
        make_embedding().fit(learned), tested, kinds, method="tsne", random_state=0, ax=left
    )
    left.set_title("embeddings of test texts, by t-SNE")
    display = ScoreHistogramDisplay.from_estimator(
        fit_detector(learned), tested, kinds, bins=40, ax=middle
    )
    outlying = display.scores < display.threshold
    found, alarms = outlying[~is_own].mean(), outlying[is_own].mean()
    middle.set(ylabel="texts", title=f"found {found:.0%}, false alarms {alarms:.0%}")
    lines = right.plot(aucs, np.arange(len(MODULES)), "o")
    for line, marker in zip(lines, "Do^sv", strict=True):
        line.set(marker=marker, alpha=0.8)
    right.legend(lines, NAMES, fontsize="small", loc="upper center", ncols=2)
    right.axvline(0.5, color="k", lw=0.8)
    right.set_yticks(np.arange(len(MODULES)), [f"scipy.{module}" for module in MODULES])
    right.set(
        xlabel="ROC-AUC", title="by the module that is the stranger", xlim=(0, 1), ylim=(-0.6, 12)
    )
    return figure


def main(folder):
    """Print the ROC-AUC of each module and detector, save the picture."""
    texts, modules = load_texts()
    print(f"{len(texts)} texts; ROC-AUC by the module that is the stranger:")
    print(f"{'':<12}" + "".join(f"{name:>20}" for name in NAMES))
    aucs = np.array([measure(module, texts, modules) for module in MODULES])
    for name, values in zip([*MODULES, "mean"], [*aucs, aucs.mean(axis=0)], strict=True):
        print(f"{name:<12}" + "".join(f"{value:>20.3f}" for value in values))
    folder.mkdir(parents=True, exist_ok=True)
    plot(aucs, texts, modules).savefig(folder / "text_outliers.png", dpi=100)
    print(f"saved {folder / 'text_outliers.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "output"))
