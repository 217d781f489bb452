"""Network connections."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .._typed import validate_params
from ._source import COMMON_PARAMETERS, Source, load, load_subset, make_bunch, read_npz

_NSL_KDD_PER_SUBSET = ["X_num", "X_cat", "y_attack", "y_class", "difficulty"]
_NSL_KDD_CATEGORICAL = ["protocol_type", "service", "flag"]

_NSL_KDD = Source(
    name="nsl_kdd",
    url=None,
    files=dict.fromkeys(
        [
            "numeric_names",
            "attack_names",
            "class_names",
            *(f"cat_values_{name}" for name in _NSL_KDD_CATEGORICAL),
            *(f"{array}_{part}" for array in _NSL_KDD_PER_SUBSET for part in ("train", "test")),
        ],
        ("nsl_kdd.npz", "f895da12bdb07d7c69379319fb40f828ae5b011abf18e81473c033b7f58c5397"),
    ),
    read=read_npz,
)

_DESCR = """\
NSL-KDD network connections

Connections to a simulated network, normal ones and attacks, in 38 numeric and 3 categorical
features; a cleaned version of the data of the KDD Cup 1999. The train rows are the official
20 % sample (25,192), the test rows all of KDDTest+ (22,544), of which 17 kinds of attack are
not among the train rows.

M. Tavallaee, E. Bagheri, W. Lu and A. Ghorbani, A Detailed Analysis of the KDD CUP 99 Data Set,
CISDA 2009.
"""


@validate_params(COMMON_PARAMETERS, prefer_skip_nested_validation=True)
def fetch_nsl_kdd(
    *,
    data_home: str | os.PathLike | None = None,
    subset: str = "train",
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Load the NSL-KDD network connections.

    They are in one file, ``nsl_kdd/nsl_kdd.npz``, in the folder that the environment
    variable SKAE_DATA names, or in `data_home`, where its checksum is verified. It is not
    downloaded.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the data sets; this one is in its folder ``nsl_kdd``. None is the cache
        folder of the operating system for `skae`.
    subset : str, default="train"
        Which rows: "train" (25,192, the official sample of 20 %), "test" (22,544, all of
        KDDTest+), or "all", which is the train rows followed by the test rows.
    return_X_y : bool, default=False
        Whether to return data and target alone.
    as_frame : bool, default=False
        Whether data and target are pandas objects, in which each column has its type.

    Returns
    -------
    Bunch, or (data, target) if `return_X_y`
        With `data`, of shape (n_samples, 41), 38 columns of floats followed by the strings
        of `protocol_type`, `service` and `flag`; `target`, of shape (n_samples,), "normal" or
        the name of the attack; `attack_class`, likewise: "normal", "dos", "probe", "r2l" or
        "u2r"; `difficulty`, likewise, how many of 21 classifiers were right; `feature_names`;
        `target_names`; `frame`, data and target in one DataFrame if `as_frame`, else None; and
        `DESCR`.

    Raises
    ------
    ImportError
        If the file has to be looked up in the cache and pooch is missing.
    OSError
        If the file is missing.

    Examples
    --------
    >>> from skae.datasets import fetch_nsl_kdd
    >>> X, y = fetch_nsl_kdd(subset="test", return_X_y=True, as_frame=True)  # doctest: +SKIP
    >>> X.shape, (y == "normal").sum()  # doctest: +SKIP
    ((22544, 41), 9711)
    """
    numeric, categorical, attack, attack_class, difficulty = load_subset(
        _NSL_KDD, _NSL_KDD_PER_SUBSET, subset, data_home
    )
    names = ["numeric_names", "attack_names", "class_names"]
    values = [f"cat_values_{name}" for name in _NSL_KDD_CATEGORICAL]
    numeric_names, attack_names, class_names, *categories = load(
        _NSL_KDD, names + values, data_home
    )
    strings = [words[codes] for words, codes in zip(categories, categorical.T, strict=True)]
    bunch = make_bunch(
        np.column_stack([numeric.astype(object), *strings]),
        attack_names[attack],
        as_frame=as_frame,
        attack_class=class_names[attack_class],
        difficulty=difficulty,
        feature_names=[*numeric_names.tolist(), *_NSL_KDD_CATEGORICAL],
        target_names=attack_names,
        DESCR=_DESCR,
    )
    return (bunch.data, bunch.target) if return_X_y else bunch
