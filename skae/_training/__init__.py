"""The engine: trains every `Trainable`, and applies it."""

from ._batch import Batch
from ._callbacks import Callback, check_callbacks, diverged
from ._engine import Training, train
from ._plan import SCHEDULES, Plan, between
from ._reading import read
from ._source import (
    Source,
    as_source,
    as_tensor,
    drop_zero_weight,
)
from ._state import TrainingState, joined, restore_on_error
from ._streams import RowStream, in_memory, through
from ._streams import shape_of as shape_of_chunk
from ._tables import mean_one, merge_equal_rows, to_dense
from ._together import train_together
from ._trainable import Step, Trainable, device_of, load_weights, take_settings, tensors_of

__all__ = [
    "SCHEDULES",
    "Batch",
    "Callback",
    "Plan",
    "RowStream",
    "Source",
    "Step",
    "Trainable",
    "Training",
    "TrainingState",
    "as_source",
    "as_tensor",
    "between",
    "check_callbacks",
    "device_of",
    "diverged",
    "drop_zero_weight",
    "in_memory",
    "joined",
    "load_weights",
    "mean_one",
    "merge_equal_rows",
    "read",
    "restore_on_error",
    "shape_of_chunk",
    "take_settings",
    "tensors_of",
    "through",
    "to_dense",
    "train",
    "train_together",
]
