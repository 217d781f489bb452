"""Apply a trained module to any number of rows, a chunk at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from scipy import sparse
from sklearn.utils import gen_batches
from torch import Tensor, nn

from .._compute import chunk_rows, limit_threads, map_parts, worker_threads
from ._source import as_tensor
from ._tables import to_dense
from ._trainable import Trainable, tensors_in

# Types of attributes that decide what a module computes.
_TYPES = (bool, int, float, str)

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
        sides = [side for tensor in tensors for side in tensor.shape]
        widest = max([*X.shape[1:], module.numbers_per_row, *sides])
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


class _Double(NamedTuple):
    """A float64 copy of a module, and what the module was then."""

    copy: Trainable
    tensors: list[Tensor]
    layers: list[nn.Module]  # all submodules, without the module itself, which is weakly held
    own: list[nn.Module]  # those of this package, whose settings may change
    settings: list[Any]


_doubles: WeakKeyDictionary[Trainable, _Double] = WeakKeyDictionary()


def _in_double(
    module: Trainable, parts: list[nn.Module], tensors: list[Tensor], device: torch.device
) -> Trainable:
    """Return a float64 copy of a module, the same one until the module changes."""
    known = _doubles.get(module)
    layers = parts[1:]
    if (
        known is not None
        and layers == known.layers
        and len(tensors) == len(known.tensors)
        and tensors[0].device == known.tensors[0].device
        and _settings(module, parts, known.own) == known.settings
        and all(map(torch.equal, known.tensors, tensors))
    ):
        return known.copy
    double = copy.deepcopy(module).to(device, torch.float64)
    own = [layer for layer in layers if not type(layer).__module__.startswith("torch.")]
    copies = [tensor.detach().clone() for tensor in tensors]
    settings = _settings(module, parts, own)
    _doubles[module] = _Double(double, copies, layers, own, settings)
    return double


def _settings(module: nn.Module, parts: list[nn.Module], own: list[nn.Module]) -> list[Any]:
    """Return what decides beside tensors and layers what a module computes."""
    n_hooks = sum([len(part._forward_hooks) for part in parts])
    return [
        n_hooks,
        *[v for one in (module, *own) for v in vars(one).values() if type(v) in _TYPES],
    ]
