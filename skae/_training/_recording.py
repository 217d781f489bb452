"""Record the operations of a function of tensors once, and run them again without autograd.

What is recorded is the list of torch's operations below autograd: those of the function, and,
if it takes a gradient, those of the backward pass. The list is then cut down: copies of views,
what is computed twice, what depends on no input, and what nobody uses. Views of inputs that
stay in place (weights, and so their transposes) are taken once, when a recording is bound to
them. What is left is written out as a Python function.

Operations run with the same arguments and in the same order as they were recorded, so that
the results are the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ._placing import Places
from ._rewriting import rewritten
from ._tape import (
    CannotRecordError,
    Operation,
    Slot,
    Tape,
    aten,
    mapped,
    shape_depends_on_values,
    slots_in,
)
from ._writing import written_out

# Operations whose results depend on the shape of their input alone.
_BY_SHAPE = (
    aten.ones_like.default,
    aten.zeros_like.default,
    aten.full_like.default,
    aten.new_ones.default,
    aten.new_zeros.default,
    aten.new_full.default,
)

_RESHAPES = (aten.expand.default, aten.view.default, aten._unsafe_view.default)

# Bytes of a tensor that a recording holds at most, rather than computing it again.
_LARGEST_CONSTANT = 2**18


class Recording:
    """The operations of a function, ready to be bound to inputs.

    Parameters
    ----------
    tape : Tape
        The operations.
    results : sequence of Tensor
        What the function returned.
    lasting : sequence of Tensor
        Inputs whose memory stays the same from call to call: parameters and buffers.
    passing : sequence of Tensor
        Inputs that are others in each call.

    Raises
    ------
    CannotRecordError
        If the function reads a number from a tensor, draws random numbers, makes tensors whose
        shape depends on the data, or uses a tensor of unknown origin.
    """

    def __init__(
        self,
        tape: Tape,
        results: Sequence[Tensor],
        lasting: Sequence[Tensor],
        passing: Sequence[Tensor],
    ):
        self._values: dict[Slot, Tensor] = {}
        self._slots: dict[int, Slot] = {}
        self._constants: dict[Slot, Tensor] = {}
        self._lasting = [self._slot_of(tensor) for tensor in lasting]
        self._passing = [self._slot_of(tensor) for tensor in passing]
        self._operations = self._slotted(tape)
        self._outputs = [self._known(tensor) for tensor in results]
        self._simplify()
        quick, values = rewritten(
            self._operations, self._outputs, self._values, self._constants, self._is_fixed
        )
        variants = (self._used(quick), values), (self._operations, self._values)
        self._binds = [
            written_out(
                operations,
                lasting_inputs=self._lasting,
                passing=self._passing,
                outputs=self._outputs,
                constants=self._constants,
                values=examples,
            )
            for operations, examples in variants
        ]
        del self._values, self._slots, self._operations, self._constants, self._written

    def bind(
        self, lasting: Sequence[Tensor], places: Places
    ) -> Iterator[Callable[..., list[Tensor]]]:
        """Go through functions of the passing inputs for these lasting ones, the quickest first.

        What they return is overwritten by the next call, but for the first result. They use
        these places.
        """
        return (bind(lasting, places) for bind in self._binds)

    # -- from tensors to slots -------------------------------------------------------------

    def _slot_of(self, tensor: Tensor) -> Slot:
        slot = self._slots.get(id(tensor))
        if slot is None:
            slot = self._slots[id(tensor)] = Slot(len(self._slots))
            self._values[slot] = tensor
        return slot

    def _known(self, tensor: Tensor) -> Slot:
        """Return the slot of a tensor that is read; one from outside is a constant."""
        slot = self._slots.get(id(tensor))
        if slot is not None:
            return slot
        if tensor.untyped_storage().data_ptr() in self._storages:
            raise CannotRecordError("a tensor shares the memory of another in an unknown way")
        slot = self._slot_of(tensor)
        self._constants[slot] = tensor
        return slot

    def _slotted(self, tape: Tape) -> list[Operation]:
        """Return the operations of a tape with slots in place of tensors."""
        operations = []
        self._storages = {t.untyped_storage().data_ptr() for t in self._values.values()}

        def to_slot(value: Any) -> Any:
            return self._known(value) if isinstance(value, Tensor) else value

        def to_output(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            self._storages.add(value.untyped_storage().data_ptr())
            return self._slot_of(value)

        for function, args, kwargs, result in tape.operations:
            if function in (aten._local_scalar_dense.default, aten.item.default):
                raise CannotRecordError("a number is read from a tensor")
            if torch.Tag.nondeterministic_seeded in function.tags:
                raise CannotRecordError("random numbers are drawn")
            if shape_depends_on_values(function, args):
                raise CannotRecordError("the shape of a tensor depends on the data")
            slots = mapped(args, to_slot), mapped(kwargs, to_slot)
            operations.append(Operation(function, *slots, mapped(result, to_output)))
        return operations

    # -- fewer operations ------------------------------------------------------------------

    def _simplify(self) -> None:
        self._written = {
            self._storage(slot) for operation in self._operations for slot in operation.writes
        }
        is_fixed = self._is_fixed
        same: dict[Slot, Slot] = {}
        seen: dict[Any, Operation] = {}
        kept: list[Operation] = []
        for operation in self._operations:
            args, kwargs = (
                mapped(value, lambda v: same.get(v, v) if isinstance(v, Slot) else v)
                for value in (operation.args, operation.kwargs)
            )
            operation = Operation(operation.function, args, kwargs, operation.outputs)
            if all(map(is_fixed, operation.inputs)):
                operation = self._without_kept_dimension(operation, kept)
            output = operation.outputs
            touched = [*operation.inputs, *slots_in([output])]
            fixed = not operation.writes and all(map(is_fixed, touched))
            if isinstance(output, Slot) and self._copies_a_view(operation):
                same[output] = operation.inputs[0]
            elif isinstance(output, Slot) and (original := self._twice_transposed(operation, seen)):
                same[output] = original
            elif fixed and isinstance(output, Slot) and operation.key() in seen:
                same[output] = seen[operation.key()].outputs
            elif (
                fixed
                and (
                    operation.function in _BY_SHAPE
                    or all(slot in self._constants for slot in operation.inputs)
                )
                and all(map(self._is_small, slots_in([output])))
            ):
                for slot in slots_in([output]):
                    self._constants[slot] = self._values[slot].detach()
            else:
                kept.append(operation)
                if fixed and isinstance(output, Slot):
                    seen[operation.key()] = operation
        self._outputs = [same.get(slot, slot) for slot in self._outputs]
        self._operations = self._used(kept)

    def _is_fixed(self, slot: Slot) -> bool:
        """Whether nothing writes to the memory of a tensor."""
        return self._storage(slot) not in self._written

    def _is_small(self, slot: Slot) -> bool:
        """Whether a recording may hold a tensor."""
        return self._values[slot].untyped_storage().nbytes() <= _LARGEST_CONSTANT

    def _storage(self, slot: Any) -> int | None:
        if not isinstance(slot, Slot):
            return None
        return self._values[slot].untyped_storage().data_ptr()

    def _copies_a_view(self, operation: Operation) -> bool:
        """Whether an operation gives its input as it is."""
        if operation.function in (aten.detach.default, aten.alias.default, aten.lift_fresh.default):
            return True
        by_one = operation.function in (aten.mul.Scalar, aten.pow.Tensor_Scalar)
        by_one = by_one and operation.args[1] == 1
        if not by_one and operation.function not in _RESHAPES:
            return False
        before, after = self._values[operation.inputs[0]], self._values[operation.outputs]
        are_alike = before.shape == after.shape and before.stride() == after.stride()
        return are_alike and before.dtype == after.dtype

    def _without_kept_dimension(self, view: Operation, before: list[Operation]) -> Operation:
        """Return a sum without `keepdim` for a view that drops what a sum has kept."""
        if view.function is not aten.view.default:
            return view
        for total in before:
            if total.outputs == view.inputs[0] and total.function is aten.sum.dim_IntList:
                summed, dims, *_ = total.args
                if total.kwargs.get("dtype") is not None or min(dims, default=0) < 0:
                    return view
                rest = [
                    side
                    for place, side in enumerate(self._values[summed].shape)
                    if place not in dims
                ]
                if rest == view.args[1]:
                    return Operation(total.function, (summed, dims), {}, view.outputs)
        return view

    def _twice_transposed(self, operation: Operation, seen: dict[Any, Operation]) -> Slot | None:
        if operation.function is not aten.t.default:
            return None
        for earlier in seen.values():
            if earlier.function is aten.t.default and earlier.outputs == operation.inputs[0]:
                return earlier.inputs[0]
        return None

    def _used(self, operations: list[Operation]) -> list[Operation]:
        """Leave out the operations whose results are not used."""
        used, kept = set(self._outputs), []
        for operation in reversed(operations):
            is_used = used.intersection(slots_in([operation.outputs]))
            if is_used or operation.writes:
                used.update(operation.inputs)
                kept.append(operation)
        return kept[::-1]
