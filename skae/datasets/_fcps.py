"""Clusters that are hard to find."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from .._typed import validate_params
from ._source import COMMON_PARAMETERS, Source, load, make_bunch, read_npz

_CHECKSUMS = {
    "atom": "0bcbb6eb8873823cc002ec1de52a4d39d2ee03596ce92f65eded06df30bcf77f",
    "chainlink": "629489ed715c6bcb5c9abdfb0c9a7cc9befa5800dbcb3d7b33824fc934c6c169",
    "engytime": "2cc10be144e965c5150a879994e920dbf1d14a48597660ae09ec89a1d581ce0e",
    "golfball": "0bd2819e310f453b8ed68b250d8df6779b9c27efc350bc44e450e721e33ad034",
    "hepta": "706f631a54ec6d4b1dcb70430f06518d5f33f27de5345c2edf73cceb317b1787",
    "lsun": "87afb5a94d24790ad2a93a70f9cc113a3fe1bff3791411bf9cbebf4c2e96a73c",
    "target": "7c558162948a7aed293c248ba3159f576e14c9dc595e5d0dfb87c29622357a57",
    "tetra": "dcd2245a4ab63241921ab4b4f3aa04c1f61225e2277d99b7cec38a7392d41ba0",
    "twodiamonds": "7891b9ff9d1f85209ca296f0b6721b9c876f99a6d30e502bae39de809da9f599",
    "wingnut": "35f9e4da0057e634cbbbc0c64c7169e8ddedd7811588d7f4a6ca87dbed72342c",
}

_DESCR = """\
Fundamental Clustering Problems Suite

Ten sets of points on a plane or in space, each with something that makes its clusters hard to
find: atom (a ball in a shell), chainlink (two rings through each other), engytime (two that
overlap), golfball (one cluster only), hepta (seven of different densities), lsun (of different
shapes), target (a disc in a ring, with outliers), tetra (four that nearly touch), twodiamonds
(two that touch at a corner), wingnut (whose density changes inside).

A. Ultsch, Clustering with SOM: U*C, Workshop on Self-Organizing Maps, 2005. The files were made
from github.com/gagolews/clustering-data-v1 (commit 27ac73a), golfball from
github.com/deric/clustering-benchmark (commit fc7aba7).

Licence: may be used where the paper is cited, as a header of the original files states.
"""


@validate_params(
    {
        "name": [StrOptions(set(_CHECKSUMS))],
        "data_home": COMMON_PARAMETERS["data_home"],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_fcps(
    name: str,
    *,
    data_home: str | os.PathLike | None = None,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Load a set of the Fundamental Clustering Problems Suite.

    Each is in one file, such as ``fcps/chainlink.npz`` (arrays `X` and `y`), in the folder that
    the environment variable SKAE_DATA names, or in `data_home`, where its checksum is
    verified. It is not downloaded.

    Parameters
    ----------
    name : str
        Which one: "atom", "chainlink", "engytime", "golfball", "hepta", "lsun", "target",
        "tetra", "twodiamonds" or "wingnut".
    data_home : str or path-like, default=None
        Folder of the data sets; these are in its folder ``fcps``. None is the cache folder of
        the operating system for `skae`.
    return_X_y : bool, default=False
        Whether to return data and target alone.
    as_frame : bool, default=False
        Whether data and target are pandas objects.

    Returns
    -------
    Bunch, or (data, target) if `return_X_y`
        With `data`, of shape (n_samples, 2) or (n_samples, 3), 212 to 4,096 points as float64;
        `target`, of shape (n_samples,), their clusters, numbered from 1, as int64;
        `feature_names`; `frame`, both in one DataFrame if `as_frame`, else None; and `DESCR`.

    Raises
    ------
    ImportError
        If the file has to be looked up in the cache and pooch is missing.
    OSError
        If the file is missing.

    Examples
    --------
    >>> from skae.datasets import fetch_fcps
    >>> X, y = fetch_fcps("chainlink", return_X_y=True)  # doctest: +SKIP
    >>> X.shape, (y == 1).sum()  # doctest: +SKIP
    ((1000, 3), 500)
    """
    file = f"{name}.npz", _CHECKSUMS[name]
    source = Source("fcps", url=None, files=dict.fromkeys(["X", "y"], file), read=read_npz)
    data, target = load(source, ["X", "y"], data_home)
    bunch = make_bunch(
        data,
        target.astype(np.int64),
        as_frame=as_frame,
        feature_names=list("xyz"[: data.shape[1]]),
        DESCR=_DESCR,
    )
    return (bunch.data, bunch.target) if return_X_y else bunch
