"""Data sets to try the estimators on, kept in a folder once downloaded."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions, validate_params

__all__ = ["fetch_ecg5000", "fetch_mnist", "fetch_nsl_kdd"]


class _Source(NamedTuple):
    """Where the arrays of a data set come from.

    In the folder that SKAE_DATA names they are all in one file, ``name/name.npz``. In the
    cache each is in the file named here with its checksum, and `read` takes the path and
    the name of the array. Without `url` these are not downloaded.
    """

    name: str
    url: str | None
    files: dict[str, tuple[str, str]]
    read: Callable[[str, str], np.ndarray]


def _read_npz(path: str, key: str) -> np.ndarray:
    with np.load(path) as arrays:
        return arrays[key]


def _read_idx(path: str, key: str) -> np.ndarray:
    """Read a gzipped idx file of bytes: zeros, type and dimensions, the sizes, the values."""
    with gzip.open(path) as file:
        content = file.read()
    n_dimensions = content[3]
    shape = np.frombuffer(content, ">i4", n_dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_dimensions).reshape(shape)


_MNIST = _Source(
    name="mnist",
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    files={
        "X_train": ("train-images-idx3-ubyte.gz", "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        "y_train": ("train-labels-idx1-ubyte.gz", "md5:d53e105ee54ea40749a09fcbcd1e9432"),
        "X_test": ("t10k-images-idx3-ubyte.gz", "md5:9fb629c4189551a2d022fa330f9573f3"),
        "y_test": ("t10k-labels-idx1-ubyte.gz", "md5:ec29112dd5afa0611ce80d1b7f02629c"),
    },
    read=_read_idx,
)

_ECG5000 = _Source(
    name="ecg5000",
    url=None,
    files=dict.fromkeys(
        ["X_train", "y_train", "X_test", "y_test"],
        ("ecg5000.npz", "02fe33d3d1869a24875340f5645abf37233a6a6ac484af801591c7c4bfe2086f"),
    ),
    read=_read_npz,
)

_NSL_KDD_PER_SUBSET = ["X_num", "X_cat", "y_attack", "y_class", "difficulty"]
_NSL_KDD_CATEGORICAL = ["protocol_type", "service", "flag"]

_NSL_KDD = _Source(
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
    read=_read_npz,
)

_MNIST_DESCR = """\
MNIST handwritten digits

70,000 grey images of 28 x 28 pixels, 60,000 to train on and 10,000 to test on; each shows
one digit, written by hand. Values are from 0 (paper) to 255 (ink).

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-Based Learning Applied to Document
Recognition, Proceedings of the IEEE 86 (1998).
"""

_ECG5000_DESCR = """\
ECG5000 heartbeats

5,000 heartbeats of one patient with congestive heart failure, each brought to 140 time steps;
500 to train on and 4,500 to test on. Class 1 is normal (2,919 beats), 2 is R-on-T premature
ventricular contraction, 3 premature ventricular contraction, 4 supraventricular premature or
ectopic beat, 5 unclassified.

Y. Chen and E. Keogh, in the UCR Time Series Archive, from record chf07 of the BIDMC Congestive
Heart Failure Database (A. Goldberger et al., PhysioNet, Circulation 101, 2000).
"""

_NSL_KDD_DESCR = """\
NSL-KDD network connections

Connections to a simulated network, normal ones and attacks, in 38 numeric and 3 categorical
features; a cleaned version of the data of the KDD Cup 1999. The train rows are the official
20 % sample (25,192), the test rows all of KDDTest+ (22,544), of which 17 kinds of attack are
not among the train rows.

M. Tavallaee, E. Bagheri, W. Lu and A. Ghorbani, A Detailed Analysis of the KDD CUP 99 Data Set,
CISDA 2009.
"""

_COMMON_PARAMETERS = {
    "data_home": [str, os.PathLike, None],
    "subset": [StrOptions({"train", "test", "all"})],
    "return_X_y": ["boolean"],
    "as_frame": ["boolean"],
}


@validate_params(
    {**_COMMON_PARAMETERS, "download_if_missing": ["boolean"]}, prefer_skip_nested_validation=True
)
def fetch_mnist(
    *,
    data_home: str | os.PathLike | None = None,
    subset: str = "train",
    return_X_y: bool = False,
    as_frame: bool = False,
    download_if_missing: bool = True,
) -> Any:
    """Load the MNIST handwritten digits, downloading them where they are missing.

    If the environment variable SKAE_DATA names a folder with the file ``mnist/mnist.npz``
    (arrays `X_train`, `y_train`, `X_test` and `y_test`), that is read. Otherwise the four
    original files are read from `data_home`, and come from a mirror of the original site
    the first time (12 MB, with checksums).

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the downloaded data sets; this one is in its folder ``mnist``. None is
        the cache folder of the operating system for `skae`.
    subset : str, default="train"
        Which rows: "train" (60,000), "test" (10,000), or "all", which is the train rows
        followed by the test rows.
    return_X_y : bool, default=False
        Whether to return data and target alone.
    as_frame : bool, default=False
        Whether data and target are pandas objects.
    download_if_missing : bool, default=True
        Whether to download what is missing, or else to raise OSError.

    Returns
    -------
    Bunch, or (data, target) if `return_X_y`
        With `data`, of shape (n_samples, 784), the raw grey values as uint8, row by row of
        the image (``X.astype("float32") / 255`` suits most models); `target`, of shape
        (n_samples,), the digits as int64; `feature_names`; `target_names`; `frame`, both
        in one DataFrame if `as_frame`, else None; and `DESCR`.

    Raises
    ------
    ImportError
        If files have to be looked up in the cache and pooch is missing.
    OSError
        If data are missing and cannot, or may not, be downloaded.

    Examples
    --------
    >>> from skae.datasets import fetch_mnist
    >>> X, y = fetch_mnist(subset="test", return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (10000, 784)
    """
    images, labels = _load_subset(_MNIST, ["X", "y"], subset, data_home, download_if_missing)
    bunch = _bunch(
        images.reshape(len(images), -1),
        labels.astype(np.int64),
        as_frame=as_frame,
        feature_names=[f"pixel_{row}_{column}" for row in range(28) for column in range(28)],
        target_names=np.arange(10),
        DESCR=_MNIST_DESCR,
    )
    return (bunch.data, bunch.target) if return_X_y else bunch


@validate_params(_COMMON_PARAMETERS, prefer_skip_nested_validation=True)
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
    data, target = _load_subset(_ECG5000, ["X", "y"], subset, data_home)
    bunch = _bunch(
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
        DESCR=_ECG5000_DESCR,
    )
    return (bunch.data, bunch.target) if return_X_y else bunch


@validate_params(_COMMON_PARAMETERS, prefer_skip_nested_validation=True)
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
    numeric, categorical, attack, attack_class, difficulty = _load_subset(
        _NSL_KDD, _NSL_KDD_PER_SUBSET, subset, data_home
    )
    names = ["numeric_names", "attack_names", "class_names"]
    values = [f"cat_values_{name}" for name in _NSL_KDD_CATEGORICAL]
    numeric_names, attack_names, class_names, *categories = _load(
        _NSL_KDD, names + values, data_home
    )
    strings = [words[codes] for words, codes in zip(categories, categorical.T, strict=True)]
    bunch = _bunch(
        np.column_stack([numeric.astype(object), *strings]),
        attack_names[attack],
        as_frame=as_frame,
        attack_class=class_names[attack_class],
        difficulty=difficulty,
        feature_names=[*numeric_names.tolist(), *_NSL_KDD_CATEGORICAL],
        target_names=attack_names,
        DESCR=_NSL_KDD_DESCR,
    )
    return (bunch.data, bunch.target) if return_X_y else bunch


def _bunch(data: np.ndarray, target: np.ndarray, *, as_frame: bool, **others: Any) -> Bunch:
    """Return what scikit-learn's fetchers return."""
    if not as_frame:
        return Bunch(data=data, target=target, frame=None, **others)
    import pandas as pd

    frame = pd.DataFrame(data, columns=others["feature_names"]).infer_objects()
    X, y = frame, pd.Series(target, name="target")
    return Bunch(data=X, target=y, frame=pd.concat([X, y], axis=1), **others)


def _load_subset(
    source: _Source, names: list[str], subset: str, *settings: Any
) -> list[np.ndarray]:
    """Return arrays of which train and test rows are stored as ``name_train``, ``name_test``."""
    parts = ["train", "test"] if subset == "all" else [subset]
    arrays = iter(_load(source, [f"{name}_{part}" for name in names for part in parts], *settings))
    return [np.concatenate([next(arrays) for _ in parts]) for _ in names]


def _load(
    source: _Source,
    keys: list[str],
    data_home: str | os.PathLike | None,
    download_if_missing: bool = False,
) -> list[np.ndarray]:
    """Return the named arrays, from the folder in SKAE_DATA if they are there."""
    if folder := os.environ.get("SKAE_DATA"):
        path = Path(folder, source.name, f"{source.name}.npz")
        if path.is_file():
            return [_read_npz(str(path), key) for key in keys]
    files = [source.files[key][0] for key in keys]
    paths = _fetch(source, dict(source.files[key] for key in keys), data_home, download_if_missing)
    return [source.read(paths[file], key) for file, key in zip(files, keys, strict=True)]


def _fetch(
    source: _Source,
    wanted: dict[str, str],
    data_home: str | os.PathLike | None,
    download_if_missing: bool,
) -> dict[str, str]:
    """Return the paths of the wanted files, downloaded where they are missing."""
    elsewhere = (
        f"name in the environment variable SKAE_DATA a folder with the file "
        f"{source.name}/{source.name}.npz (arrays {', '.join(source.files)})"
    )
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f"The data set {source.name} is kept by pooch: pip install 'skae[data]'. "
            f"Or {elsewhere}."
        ) from error

    folder = Path(pooch.os_cache("skae") if data_home is None else data_home) / source.name
    try:
        if source.url is None or not download_if_missing:
            for file, known_hash in wanted.items():
                path = folder / file
                if not path.is_file() or not pooch.hashes.hash_matches(path, known_hash):
                    no_address = source.url is None
                    raise OSError(
                        "it has no address" if no_address else "download_if_missing=False"
                    )
        shelf = pooch.create(path=folder, base_url=source.url or "", registry=wanted)
        return {file: shelf.fetch(file) for file in wanted}
    except (OSError, ValueError) as error:  # no network, or not the right bytes
        origin = "" if source.url is None else f" from {source.url}"
        raise OSError(
            f"The data set {source.name} is missing and was not downloaded ({error}). Put "
            f"{', '.join(wanted)}{origin} into {folder}, or {elsewhere}."
        ) from error
