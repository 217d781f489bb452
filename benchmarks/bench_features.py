"""Features before a linear SVM: ours beside kernel features, trees, PCA, an RBM and an RBF SVM.

On 12 sets of the UCR archive and ECG5000 (series), digits (65 % of the rows to train on, drawn anew
for each seed) and MNIST (10,000 training rows). Each row is a data set, each column a way to
describe it; figures are accuracies on the test part, the mean over the seeds. All settings are
chosen by threefold cross-validation on the training part, the C of the SVM (four values) with them:

- raw: standardised by column, as for all below but the windows and the RBM (between 0 and 1);
- PCA: how much variance is kept; Nystroem: the width of the kernel, 512 rows;
- trees: scikit-learn's RandomTreesEmbedding, its depth; RBM: scikit-learn's, its learning rate, the
  256 units standardised;
- layers: `LayerFeatures` of a denoising autoencoder, 512 + 512 units, the level of the noise; the
  networks of a search are trained as one batch;
- windows: `WindowFeatures` with one fixed setting, no column standardised before; images in
  windows of 3 x 3 pixels, 128 rectified components, their means in 3 x 3 parts;
- parts: the same with the number of parts chosen too, 1 or 4 of a series, 2 or 3 of an image;
- RBF SVM: the reference, width and C.

Then the wins, ties and losses against Nystroem by set, and the mean seconds of a search and of
all that follows. `--search 3` times, in three rounds, a search over 12 settings of
`WindowFeatures` in three folds beside one over as many of Nystroem, on SwedishLeaf, by the
time of the processor.

Measured with ``--slow 0 --mnist 0 --search 0``, three seeds:

                            raw    PCA  Nystroem  windows  parts  RBF SVM
CBF                       0.870  0.867     0.863    0.995  0.995    0.878
FacesUCR                  0.745  0.729     0.832    0.927  0.934    0.814
FiftyWords                0.528  0.538     0.707    0.806  0.806    0.691
OSULeaf                   0.435  0.413     0.559    0.961  0.961    0.588
PhalangesOutlinesCorrect  0.672  0.664     0.832    0.793  0.819    0.819
Plane                     0.981  0.981     0.975    1.000  1.000    0.968
SonyAIBORobotSurface1     0.768  0.744     0.705    0.948  0.938    0.692
Strawberry                0.958  0.949     0.966    0.965  0.967    0.966
SwedishLeaf               0.771  0.744     0.916    0.951  0.964    0.920
ToeSegmentation1          0.572  0.583     0.595    0.946  0.946    0.630
Trace                     0.700  0.710     0.783    1.000  1.000    0.837
TwoPatterns               0.799  0.822     0.870    0.994  0.994    0.919
mean of UCR               0.733  0.729     0.800    0.941  0.944    0.810
ECG5000                   0.936  0.937     0.941    0.945  0.945    0.939
digits                    0.952  0.951     0.971    0.989  0.988    0.980

Windows win 10 of the 12 sets of UCR from Nystroem and lose PhalangesOutlinesCorrect and
Strawberry; parts win 11 and lose PhalangesOutlinesCorrect.

The slow columns with ``--quick 0 --mnist 0 --seeds 1 --search 0``, beside Nystroem with that seed,
in three runs, that of the RBM on series apart:

                           Nystroem  trees    RBM  layers
CBF                           0.888  0.889  0.867   0.879
FacesUCR                      0.832  0.828  0.754   0.797
FiftyWords                    0.705  0.701  0.681   0.648
OSULeaf                       0.550  0.541  0.467   0.579
PhalangesOutlinesCorrect      0.838  0.784  0.661   0.798
Plane                         0.981  0.981  0.962   0.981
SonyAIBORobotSurface1         0.682  0.691  0.824   0.870
Strawberry                    0.959  0.959  0.932   0.959
SwedishLeaf                   0.920  0.869  0.774   0.898
ToeSegmentation1              0.596  0.684  0.575   0.623
Trace                         0.730  0.790  0.740   0.780
TwoPatterns                   0.872  0.859  0.754   0.855
mean of UCR                   0.796  0.798  0.749   0.806
ECG5000                       0.943  0.936  0.936   0.938
digits                        0.970  0.975  0.957   0.983

Layers win 4 sets of UCR from Nystroem and tie on 2. MNIST has no figures yet.

``--search 2``: the search of windows takes 2.65 times the processor's time of that of Nystroem
(the medians of two rounds); more than half of it is that of the SVM.

Command: ``python benchmarks/bench_features.py [--first 0] [--sets 12] [--seeds 3] [--quick 1]
[--slow 1] [--ecg 1] [--digits 1] [--mnist 1] [--search 3]``, where the environment variable
SKAE_DATA names a folder with the sets; ``--first 3 --sets 4`` takes the fourth to the seventh of
them, ``--slow 0`` leaves trees, RBM and layers out, and ``--quick 0`` the others but for Nystroem
and windows.
A quick look: ``--sets 3 --seeds 1 --quick 0 --slow 0 --ecg 0 --digits 0 --mnist 0 --search 0``.
"""

import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from _common import arguments, interleave, print_ratio_limit, print_table
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC

from skae import DenoisingAutoencoder
from skae.datasets import fetch_ecg5000, fetch_mnist, fetch_ucr
from skae.features import LayerFeatures, WindowFeatures
from skae.model_selection import BatchedGridSearchCV

SETS = [
    *("CBF", "FacesUCR", "FiftyWords", "OSULeaf", "PhalangesOutlinesCorrect", "Plane"),
    *("SonyAIBORobotSurface1", "Strawberry", "SwedishLeaf", "ToeSegmentation1", "Trace"),
    "TwoPatterns",
]

#: The columns that options leave out.
OPTIONAL = {"quick": ("raw", "PCA", "parts", "RBF SVM"), "slow": ("trees", "RBM", "layers")}

#: Rows and labels to train on, and to test on.
Task = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def ucr(name: str, seed: int) -> Task:
    return (
        *fetch_ucr(name, return_X_y=True),
        *fetch_ucr(name, subset="test", return_X_y=True),
    )


def ecg(name: str, seed: int) -> Task:
    return *fetch_ecg5000(return_X_y=True), *fetch_ecg5000(subset="test", return_X_y=True)


def digits(name: str, seed: int) -> Task:
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.35, random_state=seed)
    return X, y, X_test, y_test


def mnist(name: str, seed: int) -> Task:
    X, y = fetch_mnist(return_X_y=True)
    X_test, y_test = fetch_mnist(subset="test", return_X_y=True)
    rows = np.random.default_rng(seed).permutation(len(X))[:10_000]
    as_float = (np.float32(255), np.float32(255))
    return X[rows] / as_float[0], y[rows], X_test / as_float[1], y_test


class WideSVC(LinearSVC):
    """`LinearSVC`, trained on coordinates in the span of the rows where there are more columns.

    The solution lies in that span, so that it is the same.
    """

    def fit(self, X: Any, y: np.ndarray) -> Any:
        """Fit to rows and their classes."""
        if sparse.issparse(X) or X.shape[0] >= X.shape[1]:
            return super().fit(X, y)
        basis = np.linalg.qr(X.T)[0]
        super().fit(X @ basis, y)
        self.coef_ = self.coef_ @ basis.T
        self.n_features_in_ = X.shape[1]
        return self


def window_learner(n_components: int) -> DenoisingAutoencoder:
    """Return the default learner of `WindowFeatures`, with another number of components."""
    return DenoisingAutoencoder(
        n_components, hidden_layers=(), code_activation="leaky_relu", learning_rate=1e-2,
        batch_size=1000, max_iter=10,
    )  # fmt: skip


def searches(
    X: np.ndarray, seed: int, cache: str, left_out: list[str]
) -> Iterator[tuple[str, GridSearchCV]]:
    """Yield each search by name."""
    n_features = X.shape[1]
    side = int(np.sqrt(n_features)) if n_features in (64, 784) else None
    patches = DenoisingAutoencoder(
        128, hidden_layers=(), code_activation="relu", learning_rate=3e-3, max_iter=15
    )
    image = {"shape": (1, side, side), "window": 3, "dilations": [1], "n_segments": 3}
    image |= {"estimator": patches, "pooling": "mean"}
    autoencoder = DenoisingAutoencoder(
        512, hidden_layers=(512,), code_activation="relu", max_iter=50, random_state=seed
    )
    windows = WindowFeatures(**(image if side else {}), random_state=seed)
    widths = [width / n_features for width in (0.03, 0.1, 0.3, 1, 3)]
    standard, zero_one, as_it_is = StandardScaler(), MinMaxScaler(), "passthrough"
    learners: dict[str, tuple[Any, Any, dict]] = {
        "raw": (standard, as_it_is, {}),
        "PCA": (standard, PCA(random_state=seed), {"n_components": [0.8, 0.95, 0.99]}),
        "Nystroem": (
            standard,
            Nystroem(n_components=512, random_state=seed),
            {"gamma": widths},
        ),
        "trees": (
            standard,
            RandomTreesEmbedding(n_estimators=200, random_state=seed),
            {"max_depth": [3, 5]},
        ),
        "RBM": (
            zero_one,
            Pipeline(
                [
                    ("rbm", BernoulliRBM(256, n_iter=20, random_state=seed)),
                    ("scaler", StandardScaler()),
                ]
            ),
            {"rbm__learning_rate": [0.01, 0.1]},
        ),
        "layers": (
            standard,
            LayerFeatures(autoencoder, random_state=seed),
            {"estimator__noise_level": [0.25, 1.0]},
        ),
        "windows": (as_it_is, windows, {}),
        "parts": (as_it_is, windows, {"n_segments": [2, 3] if side else [1, 4]}),
    }
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    for name, (scaler, learner, grid) in learners.items():
        if name in left_out:
            continue
        # Features of a fixed scale want another C than those of a kernel, which are small.
        costs = np.logspace(-1, 2, 4) if name == "Nystroem" else np.logspace(-3, 0, 4)
        # Each by the solver that is the quicker one on such features: they find the same.
        dual = "auto" if name == "Nystroem" else True
        svm = WideSVC(dual=dual, max_iter=300 if len(X) < 5_000 else 100, random_state=seed)
        steps = [("scaler", scaler), ("learner", learner), ("svm", svm)]
        search = BatchedGridSearchCV if name == "layers" else GridSearchCV
        grid = {f"learner__{key}": values for key, values in grid.items()} | {"svm__C": costs}
        memory = None if name == "layers" else cache
        yield name, search(Pipeline(steps, memory=memory), grid, cv=folds)
    if "RBF SVM" in left_out:
        return
    grid = {"svm__C": [1, 10, 100], "svm__gamma": widths}
    yield "RBF SVM", GridSearchCV(Pipeline([("scaler", standard), ("svm", SVC())]), grid, cv=folds)


def measure(task: Task, seed: int, left_out: list[str]) -> dict[str, tuple[float, float]]:
    """Return test accuracy and seconds by name."""
    X, y, X_test, y_test = task
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, search in searches(X, seed, cache, left_out):
            start = time.perf_counter()
            accuracy = search.fit(X, y).score(X_test, y_test)
            found[name] = accuracy, time.perf_counter() - start
    return found


def compare(options: Any) -> None:
    tasks = [(ucr, name) for name in SETS[options.first :][: options.sets]]
    for reader in (ecg, digits, mnist):
        if getattr(options, reader.__name__):
            tasks.append((reader, reader.__name__))
    left_out = [
        name for option in OPTIONAL if not getattr(options, option) for name in OPTIONAL[option]
    ]
    rows, columns, means = [], [""], []
    for reader, name in tasks:
        figures = [measure(reader(name, seed), seed, left_out) for seed in range(options.seeds)]
        columns = ["", *figures[0]]
        means.append(np.mean([list(one.values()) for one in figures], axis=0))
        rows.append([name, *(f"{accuracy:.3f}" for accuracy in means[-1][:, 0])])
        print(*rows[-1], "seconds", *(f"{s:.1f}" for s in means[-1][:, 1]), flush=True)
    table = np.array(means)  # (n_tasks, n_ways, 2)
    n_series = sum(reader is ucr for reader, _ in tasks)
    if n_series:
        of_series = table[:n_series, :, 0]
        gains = of_series - of_series[:, [columns.index("Nystroem") - 1]]
        rows.append(["mean of UCR", *(f"{mean:.3f}" for mean in of_series.mean(axis=0))])
        rows.append(
            [
                "won, tied, lost to Nystroem",
                *(f"{(g > 0).sum()}, {(g == 0).sum()}, {(g < 0).sum()}" for g in gains.T),
            ]
        )
    rows.append(["seconds", *(f"{seconds:.1f}" for seconds in table[:, :, 1].mean(axis=0))])
    print_table(f"Test accuracy, {options.seeds} seeds", columns, rows)


def compare_searches(rounds: int) -> None:
    X, y, *_ = ucr("SwedishLeaf", 0)
    autoencoder = window_learner(64).set_params(random_state=0)
    windows = {
        "learner__estimator__noise_level": [0.1, 0.3, 1.0],
        "learner__n_segments": [1, 2],
        "learner__n_thresholds": [1, 2],
    }
    kernel = Nystroem(n_components=512, random_state=0)
    ways = {
        # Features with variance 1 want a small C.
        "windows": (WindowFeatures(autoencoder, random_state=0), 0.001, windows),
        "Nystroem": (kernel, 10, {"learner__gamma": np.logspace(-4, -1, 12)}),
    }

    def search(name: str) -> float:  # processor seconds: other work on the machine counts less
        learner, cost, grid = ways[name]
        steps = [("learner", learner), ("svm", LinearSVC(C=cost, random_state=0))]
        kind = BatchedGridSearchCV if name == "windows" else GridSearchCV
        start = time.process_time()
        kind(Pipeline(steps), grid, cv=3).fit(X, y)
        return time.process_time() - start

    times = interleave({name: partial(search, name) for name in ways}, rounds)
    print_ratio_limit(times, "windows", "Nystroem", 3)


def main() -> None:
    parts = dict(quick=1, slow=1, ecg=1, digits=1, mnist=1, search=3)
    options = arguments(__doc__, first=0, sets=12, seeds=3, **parts)
    if options.sets + options.ecg + options.digits + options.mnist:
        compare(options)
    if options.search:
        compare_searches(options.search)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message=".*n_components > n_samples|.*least populated")
        main()
