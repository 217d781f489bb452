"""Music in four voices."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from .._typed import validate_params
from ._source import COMMON_PARAMETERS, PARTS, Source, load_subset, make_bunch, read_npz

_PER_SUBSET = ["notes", "length"]

_JSB_CHORALES = Source(
    name="jsb_chorales",
    url=None,
    files=dict.fromkeys(
        [f"{array}_{part}" for array in _PER_SUBSET for part in PARTS],
        ("jsb16_satb.npz", "c09e51e257cd38c4ae681b469a1ef11aa47299a65646ec4e971cff2eae4e2d85"),
    ),
    read=read_npz,
)

_DESCR = """\
Chorales of J. S. Bach

382 chorales in four voices: soprano, alto, tenor and bass. Each row is a sixteenth note and
holds the pitch that each voice sings, as a MIDI number (60 is the middle C, 1 is a semitone),
or -1 where it is silent. 229 chorales are to train on (55,228 rows), 76 to validate (18,408)
and 77 to test (18,900); the rows of a chorale follow each other.

The split is that of N. Boulanger-Lewandowski, Y. Bengio and P. Vincent, Modeling Temporal
Dependencies in High-Dimensional Sequences, ICML 2012; the voices were told apart by M. Allan
and C. Williams, Harmonising Chorales by Probabilistic Inference, NIPS 2004. The file was made
from Jsb16thSeparated.json of github.com/czhuang/JSB-Chorales-dataset (commit 9a7f733).

Licence: that repository states none; the music is in the public domain.
"""


@validate_params(
    {
        "data_home": COMMON_PARAMETERS["data_home"],
        "subset": [StrOptions({*PARTS, "all"})],
        "as_frame": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def fetch_jsb_chorales(
    *,
    data_home: str | os.PathLike | None = None,
    subset: str = "train",
    as_frame: bool = False,
) -> Any:
    """Load the chorales of Bach, a row for each sixteenth note and a column for each voice.

    They are in one file, ``jsb_chorales/jsb16_satb.npz``, in the folder that the environment
    variable SKAE_DATA names, or in `data_home`, where its checksum is verified. It is not
    downloaded. There is no target, and so no `return_X_y`.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the data sets; this one is in its folder ``jsb_chorales``. None is the
        cache folder of the operating system for `skae`.
    subset : str, default="train"
        Which chorales: "train" (229), "valid" (76), "test" (77), or "all", in this order.
    as_frame : bool, default=False
        Whether the data are a DataFrame.

    Returns
    -------
    Bunch
        With `data`, of shape (n_steps, 4), MIDI numbers from 36 to 81 as int16, -1 for
        silence; `lengths`, of shape (n_chorales,), the number of rows of each chorale;
        `chorale`, of shape (n_steps,), which chorale each row is from, as groups for
        scikit-learn's splitters; `feature_names`, the voices; `frame`, the data if
        `as_frame`, else None; and `DESCR`.

    Raises
    ------
    ImportError
        If the file has to be looked up in the cache and pooch is missing.
    OSError
        If the file is missing.

    Examples
    --------
    >>> from skae.datasets import fetch_jsb_chorales
    >>> chorales = fetch_jsb_chorales(subset="test")  # doctest: +SKIP
    >>> chorales.data.shape, len(chorales.lengths)  # doctest: +SKIP
    ((18900, 4), 77)
    """
    notes, lengths = load_subset(_JSB_CHORALES, _PER_SUBSET, subset, data_home)
    return make_bunch(
        notes,
        as_frame=as_frame,
        lengths=lengths,
        chorale=np.repeat(np.arange(len(lengths)), lengths),
        feature_names=["soprano", "alto", "tenor", "bass"],
        DESCR=_DESCR,
    )
