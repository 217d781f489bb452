"""Warnings that name the line of the user."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

# Packages between a user and what warns, and modules of the standard library that they use.
_BETWEEN = {"skae", "sklearn", "joblib", "skorch", "contextlib"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of what the nearest caller outside of this package and scikit-learn did.

    A fixed ``stacklevel`` would name a file of scikit-learn where a search, a pipeline or a
    subclass calls `fit`.
    """
    level = 1
    frame = sys._getframe(level)
    while frame.f_back is not None and _package(frame) in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level + 1)


def _package(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]
