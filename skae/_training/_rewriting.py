"""The same results of a recording by fewer passes over memory.

Beside the products, a step of small networks is memory that is read and written again. Each
rewriting below gives the same bits with torch's kernels of today; `RecordedSteps` compares them
in each training, and takes the operations as they were recorded where one does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ._tape import Operation, Slot, aten, slots_in

# What gives the numbers of its input in another shape.
_RESHAPES = (
    aten.clone.default,
    aten.expand.default,
    aten.unsqueeze.default,
    aten.view.default,
    aten._unsafe_view.default,
)


def rewritten(
    operations: Sequence[Operation],
    outputs: Sequence[Slot],
    values: Mapping[Slot, Tensor],
    constants: Mapping[Slot, Tensor],
    is_fixed: Callable[[Slot], bool],
) -> tuple[list[Operation], dict[Slot, Tensor]]:
    """Return operations with the same results, and an example of each of their tensors.

    Some of the operations are then without use.

    - The squared error and its gradient, where the rows weigh alike, share the difference.
    - A sum with a product of matrices starts from what is added, rather than adding it afterwards.
    - A transposed product is the product of what is transposed, in the order of its memory.

    Parameters
    ----------
    operations : sequence of Operation
        In their order.
    outputs : sequence of Slot
        What they are there for.
    values : dict of Slot to Tensor
        An example of each tensor.
    constants : dict of Slot to Tensor
        Tensors that a recording holds.
    is_fixed : callable
        Whether nothing writes to the memory of a slot.
    """
    rewriting = _Rewriting(operations, outputs, values, constants, is_fixed)
    return rewriting.run(), rewriting.values


class _Rewriting:
    def __init__(
        self,
        operations: Sequence[Operation],
        outputs: Sequence[Slot],
        values: Mapping[Slot, Tensor],
        constants: Mapping[Slot, Tensor],
        is_fixed: Callable[[Slot], bool],
    ):
        self.values, self._constants = dict(values), constants
        self._operations = [
            one for one in operations if all(map(is_fixed, [*one.inputs, *slots_in([one.outputs])]))
        ]
        self._all = operations
        self._made = {one.outputs: one for one in self._operations if isinstance(one.outputs, Slot)}
        self._n_uses = Counter(slot for one in operations for slot in one.inputs)
        self._n_uses.update(outputs)
        errors = {one.args for one in self._operations if one.function is aten.mse_loss.default}
        self._factors = {
            one.args[1:]: factor
            for one in self._operations
            if one.function is aten.mse_loss_backward.default
            and one.args[1:] in errors
            and one.args[3] == 0  # no reduction
            and (factor := self._same_everywhere(one.args[0])) is not None
        }
        self._differences: dict[tuple[object, ...], Slot] = {}

    def run(self) -> list[Operation]:
        fixed = set(map(id, self._operations))
        return [
            new for one in self._all for new in (self._instead(one) if id(one) in fixed else [one])
        ]

    def _instead(self, one: Operation) -> list[Operation]:
        if one.function is aten.mse_loss.default and one.args in self._factors:
            given, target, _ = one.args
            difference = self._new(torch.empty_like(self.values[one.outputs]))
            self._differences[one.args] = difference
            return [
                Operation(aten.sub.Tensor, (given, target), {}, difference),
                Operation(aten.mul.Tensor, (difference, difference), {}, one.outputs),
            ]
        if one.function is aten.mse_loss_backward.default and one.args[1:] in self._differences:
            # Twice a number is exact, wherever it stands in a product.
            factor = 2 * self._factors[one.args[1:]]
            return [
                Operation(
                    aten.mul.Tensor, (self._differences[one.args[1:]], factor), {}, one.outputs
                )
            ]
        if one.function is aten.add.Tensor and not one.kwargs:
            for product, other in (one.args, one.args[::-1]):
                if self._is_product(product) and isinstance(other, Slot):
                    if self.values[product].shape != self.values[one.outputs].shape:
                        continue
                    factors = self._made[product].args
                    return [Operation(aten.baddbmm.default, (other, *factors), {}, one.outputs)]
        if self._is_transposition(one) and self._is_product(one.args[0]):
            left, right = self._made[one.args[0]].args
            before = [self._transposed(right), self._transposed(left)]
            product = Operation(
                aten.bmm.default, tuple(slot for slot, _ in before), {}, one.outputs
            )
            self._made[one.outputs] = product
            self.values[one.outputs] = torch.empty_like(
                self.values[one.outputs], memory_format=torch.contiguous_format
            )
            return [*(new for _, some in before for new in some), product]
        return [one]

    def _is_product(self, slot: object) -> bool:
        """Whether a slot is a product that nothing else needs."""
        if not isinstance(slot, Slot) or self._n_uses[slot] != 1:
            return False
        made = self._made.get(slot)
        return made is not None and made.function is aten.bmm.default

    @staticmethod
    def _is_transposition(one: Operation | None) -> bool:
        return one is not None and one.function is aten.transpose.int and one.args[1:] == (1, 2)

    def _transposed(self, slot: Slot) -> tuple[Slot, list[Operation]]:
        """Return a matrix of a product the other way round, and what gives it."""
        made = self._made.get(slot)
        if made is not None and self._is_transposition(made):
            return made.args[0], []
        other = self._new(self.values[slot].transpose(1, 2))
        return other, [Operation(aten.transpose.int, (slot, 1, 2), {}, other)]

    def _same_everywhere(self, slot: Slot) -> float | None:
        """Return the number that all entries of a constant are; None if they are not."""
        while slot not in self._constants:
            made = self._made.get(slot)
            if made is None or made.function not in _RESHAPES:
                return None
            slot = made.args[0]
        numbers = self._constants[slot].unique()
        return float(numbers) if numbers.numel() == 1 else None

    def _new(self, value: Tensor) -> Slot:
        slot = Slot(len(self.values))
        self.values[slot] = value
        return slot
