"""How many modules to train as one batch."""

from __future__ import annotations

import copy
import os
from typing import NamedTuple

import torch
from torch import Tensor

from .._random import Generator
from ._member import Member
from ._tape import run_on_tape
from ._trainable import tensors_of

# What a pass of the modules of a stack may compute on a CPU: what its cache holds.
_CACHE_BYTES = 2**23

#: With fewer modules than these, a CPU gains nothing.
FEWEST = 3

# A module in training has, beside its weights, a gradient, two moments, those from before the
# epoch, and copies of its last weights, the last good ones and the best ones. When a stack is put
# together, there are its weights and moments twice for a moment, of which memory is left for two.
_COPIES_OF_WEIGHTS = 11

# A backward pass computes about as much as a forward pass.
_PASSES = 2

# A module that waits for others to be trained with has two moments beside its weights. Those
# that wait take no more than this part of what those in training take.
_COPIES_WAITING, _PART_WAITING = 3, 0.2


class Room(NamedTuple):
    """How many modules of a kind there may be at a time."""

    in_stack: int  #: that take a step together
    in_block: int  #: that are made, trained or waiting


def room_for(member: Member, n_stacks: int, n_batched: int | None = None) -> Room:
    """Return how many modules like that of a member to train as one batch, and to have at a time.

    A module in training takes ``11 * weights + 2 * computed`` bytes, where `computed` is what a
    forward pass computes for a batch. All stacks together may take half of the memory that is
    free. On a CPU, the modules of a stack compute no more than 8 MB in a pass, or everything would
    leave its cache between two operations; large modules are better trained one at a time, and
    this is 1. Modules that wait take a fifth of that at most, at ``3 * weights`` bytes each.
    """
    weights, computed = bytes_of(member)
    each = max(1, _COPIES_OF_WEIGHTS * weights + _PASSES * computed)
    in_stack = n_batched or _most_in_a_stack(member.source.device, n_stacks * each, computed)
    n_waiting = int(_PART_WAITING * each * in_stack * n_stacks / max(1, _COPIES_WAITING * weights))
    return Room(in_stack, in_stack * (n_stacks + n_waiting // in_stack))  # whole stacks


def _most_in_a_stack(device: torch.device, bytes_of_each: int, computed: int) -> int:
    most = max(1, int(free_memory(device) / 2 / bytes_of_each))
    if device.type != "cpu":
        return most
    in_cache = _CACHE_BYTES // max(1, computed)
    return min(most, in_cache) if in_cache >= FEWEST else 1


def bytes_of(member: Member) -> tuple[int, int]:
    """Return the bytes of the weights of a module, and of what it computes for a batch."""
    module = copy.deepcopy(member.state.module)  # a step writes to buffers
    source = member.source
    batch = source.between(0, min(member.plan.batch_size, source.n_rows))
    _, tape = run_on_tape(
        lambda: [module.mean_loss(batch, module.sample_noise(batch, Generator(0, source.device)))]
    )
    given = [*tensors_of(module), *(tensor for tensor in batch if tensor is not None)]
    known = {tensor.untyped_storage().data_ptr() for tensor in given}
    computed: dict[int, int] = {}
    for _, _, _, results in tape.operations:
        for tensor in results if isinstance(results, list | tuple) else [results]:
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in known:
                storage = tensor.untyped_storage()
                computed[storage.data_ptr()] = storage.nbytes()
    weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(module))
    return weights, sum(computed.values())


def free_memory(device: torch.device) -> float:
    """Return the bytes of memory that are free, as the system says."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu" and "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", ()):
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return float(2**32)  # where the system does not say
