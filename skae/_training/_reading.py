"""Apply a trained module to any number of rows, a chunk at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import gen_batches
from torch import Tensor

from ._data import as_tensor, to_dense
from ._state import threads_for
from ._trainable import Trainable

# Numbers in the widest activation of a chunk: what stays in a processor's cache, and what
# keeps an accelerator busy.
_CHUNK_NUMBERS_CPU = 2**19
_CHUNK_NUMBERS_ACCELERATOR = 2**24


def read(
    module: Trainable,
    method: Callable[[Any, Tensor], Tensor],
    X: np.ndarray | sparse.csr_matrix,
) -> np.ndarray:
    """Return ``method(module, rows)`` for the rows of `X`, in the dtype of `X`.

    Parameters
    ----------
    module : Trainable
        Trained, in float32. For float64 rows a float64 copy is applied.
    method : callable
        A deterministic function of the module and a batch.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Validated rows, float32 or float64. Only a chunk at a time is made dense.
    """
    device = next(module.parameters()).device
    dtype = torch.float64 if X.dtype == np.float64 else torch.float32
    if dtype == torch.float64:
        device = torch.device("cpu") if device.type == "mps" else device  # no float64 there
        module = copy.deepcopy(module).to(device, dtype)
    n_weights = sum(parameter.numel() for parameter in module.parameters())
    widest = max(*X.shape[1:], *(max(p.shape, default=1) for p in module.parameters()))
    numbers = _CHUNK_NUMBERS_CPU if device.type == "cpu" else _CHUNK_NUMBERS_ACCELERATOR
    chunk_rows = min(max(64, numbers // widest), X.shape[0])
    output = torch.empty(0)
    with threads_for(chunk_rows * n_weights), torch.inference_mode():
        for chunk in gen_batches(X.shape[0], chunk_rows):
            result = method(module, as_tensor(to_dense(X[chunk])).to(device))
            if chunk.start == 0:
                output = torch.empty((X.shape[0], *result.shape[1:]), dtype=dtype)
            output[chunk] = result
    return output.numpy()
