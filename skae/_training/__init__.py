"""The engine: trains every `Trainable`, and applies it."""

from ._data import Rows, as_rows, drop_weightless, hold_out, merge_equal_rows, to_dense
from ._engine import TrainingResult, train
from ._generator import Generator
from ._reading import read
from ._state import (
    MAX_SEED,
    SINGLE_THREAD_WORK,
    given_back_on_failure,
    gradients_enabled,
    map_in_threads,
    new_random_state,
    resolve_device,
    seeded_initialisation,
    threads_for,
    to_cpu,
)
from ._trainable import Trainable, load_weights

__all__ = [
    "MAX_SEED",
    "SINGLE_THREAD_WORK",
    "Generator",
    "Rows",
    "Trainable",
    "TrainingResult",
    "as_rows",
    "drop_weightless",
    "given_back_on_failure",
    "gradients_enabled",
    "hold_out",
    "load_weights",
    "map_in_threads",
    "merge_equal_rows",
    "new_random_state",
    "read",
    "resolve_device",
    "seeded_initialisation",
    "threads_for",
    "to_cpu",
    "to_dense",
    "train",
]
