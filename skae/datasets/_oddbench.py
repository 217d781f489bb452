"""Tables with anomalies."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions

from .._typed import validate_params

_DESCR = """\
OddBench and OvRBench, tables to test outlier detectors on

Training rows are normal ones; test rows are normal ones and anomalies. In OddBench the anomalies
have a meaning of their own (a failed inspection, say), in OvRBench they are rows of other classes.
Here are 140 and 60 of the tables, of at most 40 features and 2,000 training and 2,000 test rows.

macrOData, arXiv 2602.09329 (2026).
"""


@validate_params(
    {
        "collection": [StrOptions({"oddbench", "ovrbench"})],
        "data_home": [str, os.PathLike, None],
    },
    prefer_skip_nested_validation=True,
)
def fetch_oddbench(
    *, collection: str = "oddbench", data_home: str | os.PathLike | None = None
) -> list[Bunch]:
    """Load the tables of OddBench or OvRBench.

    They are in a file each, ``oddbench/oddbench_*.npz`` and ``oddbench/ovrbench_*.npz``, in the
    folder that the environment variable SKAE_DATA names, or in `data_home`. They are not
    downloaded.

    Parameters
    ----------
    collection : str, default="oddbench"
        "oddbench", with anomalies that have a meaning of their own (140 tables), or
        "ovrbench", one class against the others (60 tables).
    data_home : str or path-like, default=None
        Folder of the data sets; these are in its folder ``oddbench``. None is the folder that
        SKAE_DATA names.

    Returns
    -------
    list of Bunch
        A table each, by name, with `name`; `train`, of shape (n_train, n_features), normal rows;
        `test`, of shape (n_test, n_features); `target`, of shape (n_test,), True for an
        anomaly; and `DESCR`.

    Raises
    ------
    OSError
        If there are no such files.

    Examples
    --------
    >>> from skae.datasets import fetch_oddbench
    >>> tables = fetch_oddbench()  # doctest: +SKIP
    >>> tables[0].name, tables[0].train.shape  # doctest: +SKIP
    ('AbandonedMineLand', (2000, 5))
    """
    home = os.environ.get("SKAE_DATA") if data_home is None else data_home
    if not home:
        raise OSError(
            f"The data set {collection} is missing; name in the environment variable "
            "SKAE_DATA, or in data_home, a folder with a folder oddbench that holds it."
        )
    folder = Path(home, "oddbench")
    paths = sorted(folder.glob(f"{collection}_*.npz"))
    if not paths:
        raise OSError(
            f"The data set {collection} is missing: there is no {folder}/{collection}_*.npz. "
            "Name in the environment variable SKAE_DATA, or in data_home, a folder with a folder "
            "oddbench that holds them."
        )
    return [_read(path) for path in paths]


def _read(path: Path) -> Bunch:
    with np.load(path) as arrays:
        return Bunch(
            name=path.stem.split("_", 1)[1],
            train=arrays["train"],
            test=arrays["test"],
            target=arrays["y"] == 1,
            DESCR=_DESCR,
        )
