"""Where the results of a recording are kept, so that its large tensors need no fresh memory.

Fresh memory is given by the system page by page, at its first touch: of a tensor of a megabyte
that costs several times what is computed there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ._tape import Operation, Slot, aten, slots_in

# Bytes below which memory is quickly found.
_SMALLEST = 2**14


def _relu(x: Tensor, *, out: Tensor) -> Tensor:
    return torch.clamp_min(x, 0, out=out)


def _threshold_backward(*given: Any, out: Tensor) -> Tensor:
    result: Tensor = aten.threshold_backward.grad_input(*given, grad_input=out)
    return result


# What computes each entry from those in the same place: it may write over its input.
_BY_ENTRY = {
    aten.add.Tensor: torch.add,
    aten.div.Tensor: torch.div,
    aten.mul.Tensor: torch.mul,
    aten.relu.default: _relu,
    aten.sigmoid.default: torch.sigmoid,
    aten.sign.default: torch.sign,
    aten.sub.Tensor: torch.sub,
    aten.tanh.default: torch.tanh,
    aten.threshold_backward.default: _threshold_backward,
}

#: What writes its result to a given place, instead of an operation.
INTO: dict[Any, Any] = {
    **_BY_ENTRY,
    aten.addmm.default: torch.addmm,
    aten.baddbmm.default: torch.baddbmm,
    aten.bmm.default: torch.bmm,
    aten.mm.default: torch.mm,
}

#: The kind of a place: how many numbers of what type, and where.
Kind = tuple[int, torch.dtype, torch.device]


class Places:
    """Memory that the recordings of a training share, one after the other."""

    def __init__(self) -> None:
        self._by_number: dict[int, Tensor] = {}

    def take(self, number: int, kind: Kind) -> Tensor:
        """Return a place by its number, as flat memory."""
        size, dtype, device = kind
        place = self._by_number.get(number)
        if place is None or place.numel() < size or place.dtype != dtype:
            place = self._by_number[number] = torch.empty(size, dtype=dtype, device=device)
        return place[:size]


def placed(
    operations: Sequence[Operation],
    fresh: Collection[Slot],
    kept: Collection[Slot],
    values: Mapping[Slot, Tensor],
) -> tuple[dict[Slot, int], list[Kind]]:
    """Return the places of the large results, and what each place is like.

    A place is used again when what it holds is not needed any more.

    Parameters
    ----------
    operations : sequence of Operation
        In their order.
    fresh : collection of Slot
        Results that outlast the next call.
    kept : collection of Slot
        Results that are needed after the last operation.
    values : mapping of Slot to Tensor
        An example of each tensor.
    """
    root = {slot: slot for slot in values}
    owners: dict[int, Slot] = {}
    for slot, value in values.items():
        root[slot] = owners.setdefault(value.untyped_storage().data_ptr(), slot)
    for one in operations:  # of which a rewritten one may lie elsewhere than its example
        if one.is_view or one.function is aten._unsafe_view.default:
            root |= dict.fromkeys(slots_in([one.outputs]), root[one.inputs[0]])
    last = {root[s]: n for n, one in enumerate(operations) for s in one.inputs}
    last |= {root[slot]: len(operations) for slot in (*fresh, *kept)}
    never = {root[slot] for slot in fresh}
    never |= {root[slot] for one in operations for slot in one.writes}
    place_of: dict[Slot, int] = {}  # by root
    kinds: list[Kind] = []
    free: dict[Kind, list[int]] = defaultdict(list)
    found: dict[Slot, int] = {}
    for number, one in enumerate(operations):
        dying = {root[s] for s in one.inputs if last[root[s]] == number} & place_of.keys()
        out = one.outputs
        early = set[Slot]()
        if one.function in _BY_ENTRY and isinstance(out, Slot):
            early = {own for own in dying if _lie_alike(one, own, root, values)}
        for own in early:
            free[kinds[place_of[own]]].append(place_of[own])
        if one.function in INTO and isinstance(out, Slot) and root[out] == out:
            value = values[out]
            if out not in never and value.is_contiguous() and value.nbytes >= _SMALLEST:
                kind = value.numel(), value.dtype, value.device
                if not free[kind]:
                    free[kind].append(len(kinds))
                    kinds.append(kind)
                found[out] = place_of[out] = free[kind].pop()
        for own in dying - early:
            free[kinds[place_of[own]]].append(place_of[own])
    return found, kinds


def _lie_alike(
    one: Operation, own: Slot, root: Mapping[Slot, Slot], values: Mapping[Slot, Tensor]
) -> bool:
    """Whether all inputs in some memory lie there as the output would."""
    output = values[one.outputs]
    return all(
        values[slot].shape == output.shape and values[slot].is_contiguous()
        for slot in one.inputs
        if root[slot] == own
    )
