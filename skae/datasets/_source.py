"""Where the arrays of a data set come from, and the cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions

PARTS = ("train", "valid", "test")

COMMON_PARAMETERS = {
    "data_home": [str, os.PathLike, None],
    "subset": [StrOptions({"train", "test", "all"})],
    "return_X_y": ["boolean"],
    "as_frame": ["boolean"],
}


class Source(NamedTuple):
    """Where the arrays of a data set come from.

    In the cache each is in the file named here with its checksum, and `read` takes the path
    and the name of the array. Without `url` the files are not downloaded. The folder that
    SKAE_DATA names has the same files, or all arrays in the one file `archive`.
    """

    name: str
    url: str | None
    files: dict[str, tuple[str, str]]
    read: Callable[[str, str], np.ndarray]
    archive: str | None = None


def read_npz(path: str, key: str) -> np.ndarray:
    with np.load(path) as arrays:
        return arrays[key]


def make_bunch(
    data: np.ndarray, target: np.ndarray | None = None, *, as_frame: bool, **others: Any
) -> Bunch:
    """Return what scikit-learn's fetchers return, without `target` where there is none."""
    bunch = Bunch(data=data, frame=None, **others)
    if target is not None:
        bunch.target = target
    if as_frame:
        import pandas as pd

        bunch.data = bunch.frame = pd.DataFrame(
            data, columns=others["feature_names"]
        ).infer_objects()
        if target is not None:
            bunch.target = pd.Series(target, name="target")
            bunch.frame = pd.concat([bunch.data, bunch.target], axis=1)
    return bunch


def load_subset(source: Source, names: list[str], subset: str, *settings: Any) -> list[np.ndarray]:
    """Return arrays whose rows are stored by part, as ``name_train`` and ``name_test``."""
    parts = [part for part in PARTS if f"{names[0]}_{part}" in source.files]
    if subset != "all":
        parts = [subset]
    arrays = iter(load(source, [f"{name}_{part}" for name in names for part in parts], *settings))
    return [np.concatenate([next(arrays) for _ in parts]) for _ in names]


def load(
    source: Source,
    keys: list[str],
    data_home: str | os.PathLike | None,
    download_if_missing: bool = False,
) -> list[np.ndarray]:
    """Return the named arrays, from the folder in SKAE_DATA if they are there."""
    files = [source.files[key][0] for key in keys]
    if folder := os.environ.get("SKAE_DATA"):
        read = read_npz if source.archive else source.read
        local = [Path(folder, source.name, source.archive or file) for file in files]
        if all(path.is_file() for path in local):
            return [read(str(path), key) for path, key in zip(local, keys, strict=True)]
    paths = _fetch(source, dict(source.files[key] for key in keys), data_home, download_if_missing)
    return [source.read(paths[file], key) for file, key in zip(files, keys, strict=True)]


def _fetch(
    source: Source,
    wanted: dict[str, str],
    data_home: str | os.PathLike | None,
    download_if_missing: bool,
) -> dict[str, str]:
    """Return the paths of the wanted files, downloaded where they are missing."""
    local = [source.archive] if source.archive else list(wanted)
    elsewhere = "name in the environment variable SKAE_DATA a folder with "
    if len(local) == 1:
        elsewhere += f"the file {source.name}/{local[0]} (arrays {', '.join(source.files)})"
    else:
        elsewhere += f"a folder {source.name} that holds them"
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
