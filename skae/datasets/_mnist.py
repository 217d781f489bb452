"""Handwritten digits."""

from __future__ import annotations

import gzip
import os
from typing import Any

import numpy as np

from .._typed import validate_params
from ._source import COMMON_PARAMETERS, Source, load_subset, make_bunch


def _read_idx(path: str, key: str) -> np.ndarray:
    """Read a gzipped idx file of bytes: zeros, type and dimensions, the sizes, the values."""
    with gzip.open(path) as file:
        content = file.read()
    n_dimensions = content[3]
    shape = np.frombuffer(content, ">i4", n_dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_dimensions).reshape(shape)


_MNIST = Source(
    name="mnist",
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    files={
        "X_train": ("train-images-idx3-ubyte.gz", "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        "y_train": ("train-labels-idx1-ubyte.gz", "md5:d53e105ee54ea40749a09fcbcd1e9432"),
        "X_test": ("t10k-images-idx3-ubyte.gz", "md5:9fb629c4189551a2d022fa330f9573f3"),
        "y_test": ("t10k-labels-idx1-ubyte.gz", "md5:ec29112dd5afa0611ce80d1b7f02629c"),
    },
    read=_read_idx,
    archive="mnist.npz",
)

_DESCR = """\
MNIST handwritten digits

70,000 grey images of 28 x 28 pixels, 60,000 to train on and 10,000 to test on; each shows
one digit, written by hand. Values are from 0 (paper) to 255 (ink).

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-Based Learning Applied to Document
Recognition, Proceedings of the IEEE 86 (1998).
"""


@validate_params(
    {**COMMON_PARAMETERS, "download_if_missing": ["boolean"]}, prefer_skip_nested_validation=True
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
    images, labels = load_subset(_MNIST, ["X", "y"], subset, data_home, download_if_missing)
    bunch = make_bunch(
        images.reshape(len(images), -1),
        labels.astype(np.int64),
        as_frame=as_frame,
        feature_names=[f"pixel_{row}_{column}" for row in range(28) for column in range(28)],
        target_names=np.arange(10),
        DESCR=_DESCR,
    )
    return (bunch.data, bunch.target) if return_X_y else bunch
