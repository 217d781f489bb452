"""Data sets to try the estimators on, kept in a folder once downloaded."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions, validate_params

__all__ = ["fetch_mnist"]


class _Source(NamedTuple):
    """Where the arrays of a data set come from.

    In the folder that SKAE_DATA names they are all in one file, ``name/name.npz``; for
    download each array is a file of its own, named with its checksum.
    """

    name: str
    url: str
    files: dict[str, tuple[str, str]]
    read: Callable[[str], np.ndarray]


def _read_idx(path: str) -> np.ndarray:
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

_MNIST_DESCR = """\
MNIST handwritten digits

70,000 grey images of 28 x 28 pixels, 60,000 to train on and 10,000 to test on; each shows
one digit, written by hand. Values are from 0 (paper) to 255 (ink).

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-Based Learning Applied to Document
Recognition, Proceedings of the IEEE 86 (1998).
"""


@validate_params(
    {
        "data_home": [str, os.PathLike, None],
        "subset": [StrOptions({"train", "test", "all"})],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
        "download_if_missing": ["boolean"],
    },
    prefer_skip_nested_validation=True,
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
    parts = ["train", "test"] if subset == "all" else [subset]
    keys = [f"{array}_{part}" for array in "Xy" for part in parts]
    arrays = _load(_MNIST, keys, data_home, download_if_missing)
    images, labels = arrays[: len(parts)], arrays[len(parts) :]
    bunch = _bunch(
        np.concatenate([image.reshape(len(image), -1) for image in images]),
        np.concatenate(labels).astype(np.int64),
        as_frame=as_frame,
        feature_names=[f"pixel_{row}_{column}" for row in range(28) for column in range(28)],
        target_names=np.arange(10),
        DESCR=_MNIST_DESCR,
    )
    return (bunch.data, bunch.target) if return_X_y else bunch


def _bunch(data: np.ndarray, target: np.ndarray, *, as_frame: bool, **others: Any) -> Bunch:
    """Return what scikit-learn's fetchers return."""
    if not as_frame:
        return Bunch(data=data, target=target, frame=None, **others)
    import pandas as pd

    frame = pd.DataFrame(data, columns=others["feature_names"])
    X, y = frame, pd.Series(target, name="target")
    return Bunch(data=X, target=y, frame=pd.concat([X, y], axis=1), **others)


def _load(
    source: _Source,
    keys: Iterable[str],
    data_home: str | os.PathLike | None,
    download_if_missing: bool,
) -> list[np.ndarray]:
    """Return the named arrays, from the folder in SKAE_DATA if they are there."""
    if folder := os.environ.get("SKAE_DATA"):
        path = Path(folder, source.name, f"{source.name}.npz")
        if path.is_file():
            with np.load(path) as arrays:
                return [arrays[key] for key in keys]
    return [source.read(path) for path in _fetch(source, keys, data_home, download_if_missing)]


def _fetch(
    source: _Source,
    keys: Iterable[str],
    data_home: str | os.PathLike | None,
    download_if_missing: bool,
) -> list[str]:
    """Return the paths of the files of the named arrays, downloaded where they are missing."""
    elsewhere = (
        f"name in the environment variable SKAE_DATA a folder with the file "
        f"{source.name}/{source.name}.npz (arrays {', '.join(source.files)})"
    )
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f"The data set {source.name} is downloaded by pooch: pip install 'skae[data]'. "
            f"Or {elsewhere}."
        ) from error

    def refuse(*_: Any) -> NoReturn:
        raise OSError("download_if_missing=False")

    wanted = dict(source.files[key] for key in keys)
    folder = Path(pooch.os_cache("skae") if data_home is None else data_home) / source.name
    shelf = pooch.create(path=folder, base_url=source.url, registry=wanted)
    try:
        return [
            shelf.fetch(file, downloader=None if download_if_missing else refuse) for file in wanted
        ]
    except (OSError, ValueError) as error:  # no network, or not the right bytes
        raise OSError(
            f"The data set {source.name} is missing and was not downloaded ({error}). Put "
            f"{', '.join(wanted)} from {source.url} into {shelf.abspath}, or {elsewhere}."
        ) from error
