"""How long and how fast to train."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# What an exponential schedule has left of the learning rate at the end.
_LAST_PART = 0.01

#: What is left of the learning rate when a part (from 0 to 1) of the training is over.
FACTORS: dict[str, Callable[[float], float]] = {
    "linear": lambda part: 1 - part,
    "exponential": lambda part: _LAST_PART**part,
    "cosine": lambda part: (1 + math.cos(math.pi * part)) / 2,
}


def between(start: float, end: float, part: float, kind: str) -> float:
    """Return where a quantity is that goes from start to end, when a part of the way is over.

    Parameters
    ----------
    start, end : float
        Above 0 for the kind "exponential", unless they are equal.
    part : float
        From 0 to 1.
    kind : str
        A key of `FACTORS`.
    """
    if start == end:
        return start
    if kind == "exponential":
        return start * (end / start) ** part
    return end + (start - end) * FACTORS[kind](part)


#: Names of the schedules of a learning rate.
SCHEDULES = ("constant", *FACTORS, "plateau")


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    Attributes
    ----------
    max_iter : int
        Upper bound of the epochs, or their number if nothing stops the training.
    batch_size : int
        Upper bound of the rows in a batch.
    learning_rate : float
        Step size of the optimizers of groups that state none themselves.
    schedule : str
        One of `SCHEDULES`: how the learning rate goes from epoch to epoch.
    plateau_of : callable or None
        Gives what the schedule "plateau" watches, from the net in training; None is the loss.
    patience : int or None
        Number of epochs without an improvement of the loss after which to stop; None
        trains a fixed number of epochs.
    tol : float
        Smallest improvement that counts.
    n_unsettled : int
        Number of epochs at the start whose losses do not compare with later ones: the patience
        begins after them.
    shuffled : bool
        Whether the rows come in an order drawn anew for each epoch, or in their own.
    full_batch : int
        Number of rows that make a full step; `batch_size` if that is 0.
    streaming : bool
        Whether the rows are a chunk of a stream that is gone through once.
    n_threads : int
        How many threads a small step may use without a change of bits.
    shares_parts : bool
        Whether a step shares out its work by `map_parts`, for which there are threads then.
    verbose : bool
        Whether to show a progress bar.
    shown : tuple of str
        Names in the history of what it shows.
    """

    max_iter: int
    batch_size: int
    learning_rate: float
    schedule: str = "constant"
    plateau_of: Callable[[Any], float] | None = None
    patience: int | None = None
    tol: float = 0.0
    n_unsettled: int = 0
    shuffled: bool = True
    full_batch: int = 0
    streaming: bool = False
    n_threads: int = 1
    shares_parts: bool = False
    verbose: bool = False
    shown: tuple[str, ...] = ("train_loss", "valid_loss")

    def share(self, n_rows: int) -> float:
        """Return how many rows a batch has as a share of a full one, at most 1."""
        return min(1.0, n_rows / (self.full_batch or self.batch_size))
