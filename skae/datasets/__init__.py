"""Data sets to try the estimators on, kept in a folder once downloaded."""

from ._ecg5000 import fetch_ecg5000
from ._fcps import fetch_fcps
from ._jsb_chorales import fetch_jsb_chorales
from ._mario_levels import fetch_mario_levels
from ._mnist import fetch_mnist
from ._nsl_kdd import fetch_nsl_kdd
from ._oddbench import fetch_oddbench
from ._ucr import fetch_ucr

__all__ = [
    "fetch_ecg5000",
    "fetch_fcps",
    "fetch_jsb_chorales",
    "fetch_mario_levels",
    "fetch_mnist",
    "fetch_nsl_kdd",
    "fetch_oddbench",
    "fetch_ucr",
]
