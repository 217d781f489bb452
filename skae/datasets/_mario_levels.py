"""Levels of a game."""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from .._typed import validate_params
from ._source import COMMON_PARAMETERS, Source, load, make_bunch

_N_ROWS = 14

_CHECKSUMS = {
    "1-1": "a04d56ae583819ebb39d2205b7322683eabaa2dd4b8b99960ee4243d43de4ac8",
    "1-2": "452cc0dacb4f7d694056f7eaaaa92c5c5ad9b01b257dd1d73bb8465f34d80b31",
    "1-3": "196f261f587af31bf2d368770821a1c8c6d398c54054323dec75dba8445d79d4",
    "2-1": "46b6c852051882baed2e0168e333211d7846c002373d03c3673d3301c00ec3a2",
    "3-1": "83375e929561ff0d82b70c50b7dba81de0ab4a550c04244c883d1226b82d68a2",
    "3-3": "6f66abf4ba83b4c20aba85702c0404b7aea83d54b650cc067e0f88e5d313a1f8",
    "4-1": "f944d7c2e48d2fe07ed0928929fa0440f4d51b9c2f46140a3fbd8416b376bdfe",
    "4-2": "d64e001ff96560c99790e39bf4dc6f89c32f2ba70997c73546af12e829338839",
    "5-1": "c3e1a89123f87f5e85307e5a90281dd6029a2c110f2beb96d471393e3caf37a2",
    "5-3": "ef95a313c041ec54a120d75fc99f0f1372bc8e7666fa3fd1742ac3cc4d600538",
    "6-1": "a182dc73ec03c9bd4d608824d89fc65c34f05783572f075b9b13c573496ba008",
    "6-2": "2ddf7c1cf3b79048e40e98c0131b39ebacccaf6b4a50b0128b2d22f91f61693c",
    "6-3": "316814e64fa2f95b3e6b2dce2eb698672ff9ede3b756c284edbb96e10b60b46a",
    "7-1": "4a10eb8eb5651a5064cc36f61b9daec0240d3e646897acddbb28b99856bb9dd9",
    "8-1": "5cedb7f364e980d04552a1ebfad122709e528273b7506d8bae84a380d09e7b85",
}

#: The letters of the files, in the order of their codes.
_TILES = {
    "-": "empty",
    "<": "pipe, top left",
    ">": "pipe, top right",
    "?": "question block, full",
    "B": "cannon, top",
    "E": "enemy",
    "Q": "question block, empty",
    "S": "breakable block",
    "X": "ground",
    "[": "pipe, left",
    "]": "pipe, right",
    "b": "cannon, bottom",
    "o": "coin",
}


def _read_level(path: str, key: str) -> np.ndarray:
    """Read a level, a line for each row of tiles and a letter for each tile."""
    lines = Path(path).read_text(encoding="ascii").split()
    return np.array([[list(_TILES).index(tile) for tile in line] for line in lines], np.uint8)


_MARIO_LEVELS = Source(
    name="mario_levels",
    url=(
        "https://raw.githubusercontent.com/TheVGLC/TheVGLC/0e86a8f31f20/"
        "Super%20Mario%20Bros/Processed/"
    ),
    files={name: (f"mario-{name}.txt", checksum) for name, checksum in _CHECKSUMS.items()},
    read=_read_level,
)

_DESCR = """\
Levels of Super Mario Bros.

15 levels of 14 rows and 149 to 373 columns of tiles, each of one of 13 kinds, cut into windows
that overlap: neighbours are nearly the same, so hold out whole levels, for example by
scikit-learn's GroupShuffleSplit with the levels as groups.

A. J. Summerville, S. Snodgrass, M. Mateas and S. Ontañón, The VGLC: The Video Game Level
Corpus, 7th Workshop on Procedural Content Generation, 2016; github.com/TheVGLC/TheVGLC.

Licence: MIT for the corpus. The levels themselves are Nintendo's; use them for research only.
"""


@validate_params(
    {
        "data_home": COMMON_PARAMETERS["data_home"],
        "width": [Interval(Integral, 1, 149, closed="both")],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
        "download_if_missing": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_mario_levels(
    *,
    data_home: str | os.PathLike | None = None,
    width: int = 28,
    return_X_y: bool = False,
    as_frame: bool = False,
    download_if_missing: bool = True,
) -> Any:
    """Load levels of Super Mario Bros. in windows, downloading them where they are missing.

    They are in 15 text files, which are read from the folder ``mario_levels`` in the folder
    that the environment variable SKAE_DATA names. If they are not there, they are read from
    `data_home`, and come from the Video Game Level Corpus the first time (40 kB, with
    checksums).

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the downloaded data sets; this one is in its folder ``mario_levels``. None
        is the cache folder of the operating system for `skae`.
    width : int, default=28
        Number of columns of a window, at most the 149 of the shortest level. The windows
        begin at each column of a level from which one fits.
    return_X_y : bool, default=False
        Whether to return data and target alone.
    as_frame : bool, default=False
        Whether data and target are pandas objects.
    download_if_missing : bool, default=True
        Whether to download what is missing, or else to raise OSError.

    Returns
    -------
    Bunch, or (data, target) if `return_X_y`
        With `data`, of shape (n_windows, 14 * `width`), the tiles row by row of the window as
        uint8, numbers of `tiles` (``data.reshape(-1, 14, width)`` are pictures); `target`, of
        shape (n_windows,), which level a window is from, as int64; `start`, of shape
        (n_windows,), its first column there; `levels`, the whole levels, each of shape (14,
        n_columns); `target_names`, those of the levels, such as "1-1"; `tiles`, of shape (13,),
        the letters of the tiles in the files; `tile_names`, what they stand for;
        `feature_names`; `frame`, data and target in one DataFrame if `as_frame`, else None;
        and `DESCR`. There are 2,518 windows of the default width.

    Raises
    ------
    ImportError
        If files have to be looked up in the cache and pooch is missing.
    OSError
        If data are missing and cannot, or may not, be downloaded.

    Examples
    --------
    >>> from skae.datasets import fetch_mario_levels
    >>> mario = fetch_mario_levels()  # doctest: +SKIP
    >>> mario.data.shape  # doctest: +SKIP
    (2518, 392)

    One indicator for each kind of tile, as the channels of an image:

    >>> import numpy as np
    >>> windows = mario.data.reshape(-1, 14, 28)  # doctest: +SKIP
    >>> X = np.eye(13, dtype="float32")[windows].transpose(0, 3, 1, 2)  # doctest: +SKIP
    """
    levels = load(_MARIO_LEVELS, list(_CHECKSUMS), data_home, download_if_missing)
    windows = [np.lib.stride_tricks.sliding_window_view(one, width, axis=1) for one in levels]
    starts = [np.arange(one.shape[1]) for one in windows]
    bunch = make_bunch(
        np.concatenate([one.swapaxes(0, 1).reshape(-1, _N_ROWS * width) for one in windows]),
        np.repeat(np.arange(len(levels)), [len(one) for one in starts]),
        as_frame=as_frame,
        start=np.concatenate(starts),
        levels=levels,
        feature_names=[f"tile_{row}_{column}" for row in range(_N_ROWS) for column in range(width)],
        target_names=np.array(list(_CHECKSUMS)),
        tiles=np.array(list(_TILES)),
        tile_names=np.array(list(_TILES.values())),
        DESCR=_DESCR,
    )
    return (bunch.data, bunch.target) if return_X_y else bunch
