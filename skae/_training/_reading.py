"""Apply a trained module to any number of rows, a chunk at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import gen_batches
from torch import Tensor, nn

from .._compute import chunk_rows, limit_threads, map_parts, worker_threads
from ._source import as_tensor, to_dense
from ._trainable import Trainable, tensors_in

# Types of attributes that decide what a module computes.
_SETTINGS = (bool, int, float, str)

# So many rows are never cut into chunks.
_FEW_ROWS = 64


def read(
    module: Trainable,
    method: Callable[[Any, Tensor], Tensor],
    X: np.ndarray | sparse.csr_matrix,
    *,
    shares_parts: bool = False,
) -> np.ndarray:
    """Return ``method(module, rows)`` for the rows of `X`, in the dtype of `X`.

    Parameters
    ----------
    module : Trainable
        Trained, in float32. To float64 rows a float64 copy is applied.
    method : callable
        A deterministic function of the module and a batch.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Validated rows, float32 or float64. Only a chunk at a time is made dense.
    shares_parts : bool
        Whether threads take a chunk each, as in training by a plan that says so.
    """
    parts = list(module.modules())
    tensors, n_rows = tensors_in(parts), X.shape[0]
    device = tensors[0].device
    if X.dtype == np.float64:
        device = torch.device("cpu") if device.type == "mps" else device  # no float64 there
        module = _in_double(module, parts, tensors, device)
    n_at_a_time = min(_FEW_ROWS, n_rows)
    if n_rows > _FEW_ROWS:
        widest = max([*X.shape[1:], *[side for tensor in tensors for side in tensor.shape]])
        n_at_a_time = min(max(_FEW_ROWS, chunk_rows(widest, device)), n_rows)
    n_weights = sum([tensor.numel() for tensor in tensors])
    shared_out = shares_parts and device.type == "cpu" and n_at_a_time < n_rows
    n_threads = torch.get_num_threads() if shared_out else 1
    with limit_threads(0 if shared_out else n_at_a_time * n_weights), torch.inference_mode():
        if n_at_a_time == n_rows:
            x = as_tensor(to_dense(X)).to(device)
            result = method(module, x)
            shares = result.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
            return (result.clone() if shares else result).numpy(force=True)

        def read_chunk(chunk: slice) -> Tensor:
            return method(module, as_tensor(to_dense(X[chunk])).to(device))

        def fill(chunk: slice) -> None:
            with torch.inference_mode():  # in each thread
                output[chunk] = read_chunk(chunk)

        first, *others = gen_batches(n_rows, n_at_a_time)
        result = read_chunk(first)
        output = torch.empty((n_rows, *result.shape[1:]), dtype=result.dtype)
        output[first] = result
        with worker_threads(n_threads):
            map_parts(fill, others)
        return output.numpy()


# The copies in float64, and what each is a copy of.
_doubles: WeakKeyDictionary[Trainable, tuple[Any, list[Tensor], Trainable]] = WeakKeyDictionary()


def _in_double(
    module: Trainable, parts: list[nn.Module], tensors: list[Tensor], device: torch.device
) -> Trainable:
    """Return a float64 copy of a module with these tensors, the same one until it changes."""
    appearance = list(map(_appearance, parts))
    known_appearance, known, double = _doubles.get(module, (None, [], module))
    if (
        appearance == known_appearance
        and known[0].device == tensors[0].device
        and len(known) == len(tensors)
        and all(map(torch.equal, known, tensors))
    ):
        return double
    double = copy.deepcopy(module).to(device, torch.float64)
    _doubles[module] = appearance, [tensor.detach().clone() for tensor in tensors], double
    return double


def _appearance(part: nn.Module) -> Any:
    """Return what a submodule is beside its tensors; of torch's own, the settings are fixed."""
    hooked = len(part._forward_hooks)
    if type(part).__module__.startswith("torch."):
        return id(part), type(part), hooked
    return id(part), hooked, [v for v in vars(part).values() if type(v) in _SETTINGS]
