"""Outliers selected at a false discovery rate of 0.1: what is realised, and what is found.

Of each of 13 tables of ADBench (at most 2,000 rows, stratified, seed 0), half of the normal rows
are for training, of which half are held out for calibration; tested are the other normal rows and
all outliers. Over many such splits, the mean fraction of normal rows among those selected, which
is to be 0.1 at most, and of the outliers that are selected (power):

- bh, storey: `OutlierDetector.select_outliers`;
- e-values: `select_by_e_values` of the mean e-value of five detectors of the same rows with
  other calibration rows, each at the level that is named, on some of the splits; and in how many of
  the rows two such selections from other seeds differ, beside that of two of "bh".

The rate is bounded for any learner; here it is one that is quick, codebooks of one size. Then the
false alarms on normal rows where 5 % are asked for.

Measured, 100 splits, of which 2 with e-values: rates 0.038 (bh), 0.053 (storey), 0.002, 0.007 and
0.004 (e-values at levels 1, 0.5 and 0.2); power 0.257, 0.281, 0.109, 0.114 and 0.069; rows decided
otherwise 2.0 %, and 2.1, 1.2 and 0.4 %; false alarms 4.8 %.

Command: ``python benchmarks/bench_selection.py [--splits 100] [--averaged 10]``, where the
environment variable SKAE_DATA names a folder with adbench/*.npz (from the repository of ADBench)
"""

import numpy as np
from _common import arguments, print_limit, print_table
from bench_outliers import split, tables
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skae import OutlierDetector
from skae.autoencoders import CodebookEnsemble
from skae.outlier import select_by_e_values

MAX_ROWS = 2000
FDR = 0.1
N_DETECTORS = 5
#: Levels of the single e-values, over that of the selection.
LEVELS = (1.0, 0.5, 0.2)
METHODS = ("bh", "storey")


def fit(rows: np.ndarray, seed: int) -> OutlierDetector:
    learner = make_pipeline(StandardScaler(), CodebookEnsemble([(128, 4)]))
    detector = OutlierDetector(
        learner, contamination=0.05, calibration_fraction=0.5, random_state=seed
    )
    return detector.fit(rows)


def rate_and_power(mask: np.ndarray, is_outlier: np.ndarray) -> tuple[float, float]:
    n_selected = max(1, np.count_nonzero(mask))
    return np.count_nonzero(mask & ~is_outlier) / n_selected, float(mask[is_outlier].mean())


def by_e_values(rows: np.ndarray, X: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return what several detectors select together, for each level of their own."""
    detectors = [fit(rows, N_DETECTORS * seed + k) for k in range(N_DETECTORS)]
    values = {level: [one.e_values(X, level * FDR) for one in detectors] for level in LEVELS}
    return {f"e-values, {level:g}": select_by_e_values(values[level], FDR) for level in LEVELS}


def main() -> None:
    options = arguments(__doc__, splits=100, averaged=10)
    rows, alarms = [], []
    results: dict[str, list[np.ndarray]] = {name: [] for name in METHODS}
    results |= {f"e-values, {level:g}": [] for level in LEVELS}
    differences: dict[str, list[float]] = {name: [] for name in results if name != "storey"}
    for name, X, y in tables():
        if len(X) > MAX_ROWS:
            X, _, y, _ = train_test_split(X, y, train_size=MAX_ROWS, stratify=y, random_state=0)
        of_table: dict[str, list[tuple[float, float]]] = {method: [] for method in results}
        for seed in range(options.splits):
            train, test = split(y, "one-class", seed)
            is_outlier = y[test] == 1
            detector = fit(X[train], seed)
            masks = {m: detector.select_outliers(X[test], FDR, method=m) for m in METHODS}
            alarms.append(np.mean(detector.predict(X[test])[~is_outlier] == -1))
            if seed < options.averaged:
                masks |= by_e_values(X[train], X[test], seed)
                other = fit(X[train], 1000 + seed).select_outliers(X[test], FDR, method="bh")
                others = {"bh": other, **by_e_values(X[train], X[test], 1000 + seed)}
                for method, mask in others.items():
                    differences[method].append(float(np.mean(mask != masks[method])))
            for method, mask in masks.items():
                of_table[method].append(rate_and_power(mask, is_outlier))
        means = {method: np.mean(found, axis=0) for method, found in of_table.items()}
        for method, mean in means.items():
            results[method].append(mean)
        rows.append([name, *(f"{rate:.3f} {power:.3f}" for rate, power in means.values())])
    overall = {method: np.mean(found, axis=0) for method, found in results.items()}
    rows.append(["mean", *(f"{rate:.3f} {power:.3f}" for rate, power in overall.values())])
    title = f"False discovery rate and power at {FDR}, {options.splits} splits"
    print_table(title, ["", *results], rows)
    for method in METHODS:
        print_limit(f"false discovery rate of {method}", overall[method][0], FDR)
    print_limit("power of bh over that of storey", overall["bh"][1] / overall["storey"][1], 1.0)
    for method, found in differences.items():
        print(f"rows that two seeds decide otherwise, {method}: {100 * np.mean(found):.2f} %")
    print(f"false alarms where 5 % are asked for: {100 * np.mean(alarms):.2f} % (4 to 6)\n")


if __name__ == "__main__":
    main()
