"""Outliers: `OutlierDetector` with its defaults and its peers on 13 tables of ADBench.

Mean ROC-AUC over the seeds, in percent. Of each table at most 5,000 rows (stratified, seed
0), standardised by the training part; every detector has its default parameters.

- one-class: trained on half of the normal rows, tested on the others and all outliers;
- unsupervised: trained on 70 % of the rows with their outliers, tested on the others.

Then the false alarms on normal rows that were not learned from, where 5 % are asked for by
calibration on 30 % of the training rows, and the seconds to fit to 5,000 x 20 rows and to score
them. The learner was chosen on these tables, by the same seeds, so that its means are a little
better than those to expect on others.

Command: ``python benchmarks/bench_outliers.py [--seeds 3] [--rounds 5] [--peers 1]``, where the
environment variable SKAE_DATA names a folder with adbench/*.npz (from the repository of ADBench)
"""

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from _common import arguments, interleave, print_limit, print_ratio_limit, print_table, time_rows
from sklearn.datasets import make_blobs
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from skae import OutlierDetector

MAX_ROWS = 5000
SKAE, AUTOENCODER = "skae", "pyod AE"
#: What the default learner is to reach, in percent.
LIMITS = {"one-class": 91.0, "unsupervised": 80.5}

#: Returns how strange each test row is: training rows, test rows, seed.
Detector = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def skae_default(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    return -OutlierDetector(random_state=seed).fit(train).score_samples(test)


def nearest_neighbours(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Return the distance to the fifth nearest neighbour, pyod's default."""
    return NearestNeighbors(n_neighbors=5).fit(train).kneighbors(test)[0][:, -1]


def isolation_forest(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    return -IsolationForest(random_state=seed).fit(train).score_samples(test)


def pyod_ecod(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    from pyod.models.ecod import ECOD

    return ECOD().fit(train).decision_function(test)


def pyod_pca(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    from pyod.models.pca import PCA

    strangeness = PCA(random_state=seed).fit(train).decision_function(test)
    return np.nan_to_num(strangeness)  # it divides by eigenvalues, which may be 0


def pyod_autoencoder(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    from pyod.models.auto_encoder import AutoEncoder

    detector = AutoEncoder(random_state=seed, device="cpu", verbose=0)
    return detector.fit(train).decision_function(test)


def detectors(peers: bool) -> dict[str, Detector]:
    found: dict[str, Detector] = {SKAE: skae_default}
    if not peers:
        return found
    found |= {"kNN": nearest_neighbours, "IForest": isolation_forest}
    if find_spec("pyod") is not None:
        found |= {"ECOD": pyod_ecod, "PCA": pyod_pca, AUTOENCODER: pyod_autoencoder}
    return found


def tables() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, rows and labels (1 for an outlier) of each table."""
    folder = Path(os.environ.get("SKAE_DATA", "")) / "adbench"
    paths = sorted(folder.glob("*.npz"), key=lambda path: int(path.stem.split("_")[0]))
    if not paths:
        raise SystemExit(f"no tables at {folder}/*.npz; name their folder in SKAE_DATA")
    for path in paths:
        with np.load(path) as table:
            X, y = table["X"].astype(np.float64), table["y"].astype(int)
        if len(X) > MAX_ROWS:
            X, _, y, _ = train_test_split(X, y, train_size=MAX_ROWS, stratify=y, random_state=0)
        yield path.stem, X, y


def split(y: np.ndarray, setting: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the training and the test rows."""
    if setting == "unsupervised":
        return train_test_split(np.arange(len(y)), test_size=0.3, stratify=y, random_state=seed)
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(y == 0))
    train, others = np.split(normal, [len(normal) // 2])
    return train, np.concatenate([others, np.flatnonzero(y == 1)])


def measure(
    X: np.ndarray, y: np.ndarray, setting: str, seed: int, found: dict[str, Detector]
) -> list[float]:
    """Return the ROC-AUC of each detector, in percent."""
    train, test = split(y, setting, seed)
    scaler = StandardScaler().fit(X[train])
    X_train, X_test = scaler.transform(X[train]), scaler.transform(X[test])
    strangeness = [detect(X_train, X_test, seed) for detect in found.values()]
    return [100 * roc_auc_score(y[test], strange) for strange in strangeness]


def compare(setting: str, n_seeds: int, found: dict[str, Detector]) -> None:
    rows, by_table = [], []
    for name, X, y in tables():
        by_seed = [measure(X, y, setting, seed, found) for seed in range(n_seeds)]
        by_table.append(by_seed)
        rows.append([name, *(f"{auc:.1f}" for auc in np.mean(by_seed, axis=0))])
    means = np.mean(by_table, axis=0)  # of each seed and detector
    rows.append(["mean", *(f"{auc:.2f}" for auc in means.mean(axis=0))])
    rows += [[f"  seed {seed}", *(f"{auc:.2f}" for auc in mean)] for seed, mean in enumerate(means)]
    print_table(f"ROC-AUC in percent, {setting}, {n_seeds} seeds", ["", *found], rows)
    print_limit(f"{SKAE}, 100 - AUC", 100 - means[:, 0].mean(), 100 - LIMITS[setting])


def count_false_alarms(n_seeds: int) -> None:
    """Print how many normal rows are called outliers where 5 % are asked for."""
    fractions = []
    for _, X, y in tables():
        for seed in range(n_seeds):
            train, test = split(y, "one-class", seed)
            normal = test[y[test] == 0]
            scaler = StandardScaler().fit(X[train])
            detector = OutlierDetector(
                contamination=0.05, calibration_fraction=0.3, random_state=seed
            ).fit(scaler.transform(X[train]))
            fractions.append(np.mean(detector.predict(scaler.transform(X[normal])) == -1))
    print(f"false alarms where 5 % are asked for: {100 * np.mean(fractions):.2f} % (4 to 6)\n")


def main() -> None:
    options = arguments(__doc__, seeds=3, rounds=5, peers=1)
    found = detectors(bool(options.peers))
    for setting in LIMITS:
        compare(setting, options.seeds, found)
    count_false_alarms(options.seeds)
    X = StandardScaler().fit_transform(make_blobs(5000, 20, random_state=0)[0])
    times = interleave(
        {name: lambda detect=found[name]: detect(X, X, 0) for name in found}, options.rounds
    )
    rows = time_rows(times, lambda seconds: f"{seconds:.2f} s", [SKAE])
    print_table("Fit and score 5,000 x 20", ["", "measured", "spread", f"/ {SKAE}"], rows)
    if AUTOENCODER in times:
        print_ratio_limit(times, SKAE, AUTOENCODER, 0.5)


if __name__ == "__main__":
    main()
