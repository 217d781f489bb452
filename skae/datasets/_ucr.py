"""Sets of time series with classes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions

from .._typed import validate_params
from ._source import COMMON_PARAMETERS, Source, load_subset, make_bunch, read_npz

_CHECKSUMS = {
    "CBF": "825541dc8dc643a029382ac8d34fa5c3959745c66e40579bca2be50069f9cda8",
    "FacesUCR": "321f6fa8de2141efd55ec1aa77973db9867abef6c34ddeb7f56e3b5dae79cc10",
    "FiftyWords": "787cde2767c8f207c9a58d738d14b48e0fdc07953de8cd40bcb8de256ccccb06",
    "OSULeaf": "eb41b9b50faf3d14a3b4d7b6772a5e32466f025d0eec261ecdd4a118a226631d",
    "PhalangesOutlinesCorrect": "7b3f5f816579afbaba496035512d355ce3a09f6f438163da6eac35c54291d0c9",
    "Plane": "b96d009dafd34c2fd78076e95cf60e36cd3cfd7a174ce906890d8d10f4c1f81c",
    "SonyAIBORobotSurface1": "5f2f4ca4da0ea2f12e178827531034ea9f33b6f8a982f865822cc4bb15592e15",
    "Strawberry": "126934468db11d2728afe0fde428e1bd84d6ff37ebc7fc38d549ab8f147114bb",
    "SwedishLeaf": "364d9176399a6c98feb046168450daadce19cb745ae99dbbdff57a3a43fbfabc",
    "ToeSegmentation1": "394597b6a84e55c5f6ddbe54232a346c35ef5e02cc8fcfc86723eff0dbd2921d",
    "Trace": "e134277e1e243fae19c3921b193233b8658631be3f8eae91fae9499f5d5e6f44",
    "TwoPatterns": "eb146f1d20b7fd99644a0a96d450caec2cd442a9904f7c956e07a11d0b51f7b3",
}

_DESCR = """\
Time series of the UCR archive

Series of one set have one length, mean 0 and standard deviation 1, and a class each; the archive
says which are to train on.

H. A. Dau et al., The UCR Time Series Archive, IEEE/CAA Journal of Automatica Sinica, 2019.
"""


@validate_params(
    {**COMMON_PARAMETERS, "name": [StrOptions({*_CHECKSUMS})]}, prefer_skip_nested_validation=True
)
def fetch_ucr(
    name: str,
    *,
    data_home: str | os.PathLike | None = None,
    subset: str = "train",
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Load series of a set of the UCR archive.

    They are in one file, ``ucr/<name>.npz`` (arrays `X_train`, `y_train`, `X_test` and `y_test`),
    in the folder that the environment variable SKAE_DATA names, or in `data_home`, where
    its checksum is verified. It is not downloaded.

    Parameters
    ----------
    name : str
        Name of the set: "CBF", "FacesUCR", "FiftyWords", "OSULeaf", "PhalangesOutlinesCorrect",
        "Plane", "SonyAIBORobotSurface1", "Strawberry", "SwedishLeaf", "ToeSegmentation1", "Trace"
        or "TwoPatterns".
    data_home : str or path-like, default=None
        Folder of the data sets; this one is in its folder ``ucr``. None is the cache folder of the
        operating system for `skae`.
    subset : str, default="train"
        Which series: "train", "test", or "all", which is the train series followed by the test
        series.
    return_X_y : bool, default=False
        Whether to return data and target alone.
    as_frame : bool, default=False
        Whether data and target are pandas objects.

    Returns
    -------
    Bunch, or (data, target) if `return_X_y`
        With `data`, of shape (n_samples, n_steps), as float32; `target`, of shape (n_samples,),
        the classes as int64; `feature_names`; `frame`, both in one DataFrame if `as_frame`,
        else None; and `DESCR`.

    Raises
    ------
    ImportError
        If the file has to be looked up in the cache and pooch is missing.
    OSError
        If the file is missing.

    Examples
    --------
    >>> from skae.datasets import fetch_ucr
    >>> X, y = fetch_ucr("CBF", return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (30, 128)
    """
    arrays = ["X_train", "y_train", "X_test", "y_test"]
    file = f"{name}.npz"
    source = Source(
        name="ucr",
        url=None,
        files=dict.fromkeys(arrays, (file, _CHECKSUMS[name])),
        read=read_npz,
        archive=file,
    )
    data, target = load_subset(source, ["X", "y"], subset, data_home)
    bunch: Bunch = make_bunch(
        data,
        target.astype(np.int64),
        as_frame=as_frame,
        feature_names=[f"step_{step}" for step in range(data.shape[1])],
        DESCR=_DESCR,
    )
    return (bunch.data, bunch.target) if return_X_y else bunch
