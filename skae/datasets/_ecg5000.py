"""Heartbeats."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .._typed import validate_params
from ._source import COMMON_PARAMETERS, Source, load_subset, make_bunch, read_npz

_ECG5000 = Source(
    name="ecg5000",
    url=None,
    files=dict.fromkeys(
        ["X_train", "y_train", "X_test", "y_test"],
        ("ecg5000.npz", "02fe33d3d1869a24875340f5645abf37233a6a6ac484af801591c7c4bfe2086f"),
    ),
    read=read_npz,
)

_DESCR = """\
ECG5000 heartbeats

5,000 heartbeats of one patient with congestive heart failure, each brought to 140 time steps;
500 to train on and 4,500 to test on. Class 1 is normal (2,919 beats), 2 is R-on-T premature
ventricular contraction, 3 premature ventricular contraction, 4 supraventricular premature or
ectopic beat, 5 unclassified.

Y. Chen and E. Keogh, in the UCR Time Series Archive, from record chf07 of the BIDMC Congestive
Heart Failure Database (A. Goldberger et al., PhysioNet, Circulation 101, 2000).
"""


@validate_params(COMMON_PARAMETERS, prefer_skip_nested_validation=True)
def fetch_ecg5000(
    *,
    data_home: str | os.PathLike | None = None,
    subset: str = "train",
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Load the ECG5000 heartbeats.

    They are in one file, ``ecg5000/ecg5000.npz`` (arrays `X_train`, `y_train`, `X_test` and
    `y_test`), in the folder that the environment variable SKAE_DATA names, or in
    `data_home`, where its checksum is verified. It is not downloaded.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the data sets; this one is in its folder ``ecg5000``. None is the cache
        folder of the operating system for `skae`.
    subset : str, default="train"
        Which rows: "train" (500), "test" (4,500), or "all", which is the train rows
        followed by the test rows.
    return_X_y : bool, default=False
        Whether to return data and target alone.
    as_frame : bool, default=False
        Whether data and target are pandas objects.

    Returns
    -------
    Bunch, or (data, target) if `return_X_y`
        With `data`, of shape (n_samples, 140), the voltage at each time step as float32;
        `target`, of shape (n_samples,), the classes 1 (normal) to 5 as int64;
        `feature_names`; `target_names`, those of the classes 1 to 5; `frame`, both in one
        DataFrame if `as_frame`, else None; and `DESCR`.

    Raises
    ------
    ImportError
        If the file has to be looked up in the cache and pooch is missing.
    OSError
        If the file is missing.

    Examples
    --------
    >>> from skae.datasets import fetch_ecg5000
    >>> X, y = fetch_ecg5000(subset="all", return_X_y=True)  # doctest: +SKIP
    >>> X.shape, (y == 1).sum()  # doctest: +SKIP
    ((5000, 140), 2919)
    """
    data, target = load_subset(_ECG5000, ["X", "y"], subset, data_home)
    bunch = make_bunch(
        data,
        target.astype(np.int64),
        as_frame=as_frame,
        feature_names=[f"step_{step}" for step in range(data.shape[1])],
        target_names=np.array(
            [
                "normal",
                "R-on-T premature ventricular contraction",
                "premature ventricular contraction",
                "supraventricular premature or ectopic beat",
                "unclassified",
            ]
        ),
        DESCR=_DESCR,
    )
    return (bunch.data, bunch.target) if return_X_y else bunch
