"""Steps of a module with a plain loss: by autograd, or recorded where that is possible."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from .._config import records_steps
from ._batch import Batch
from ._graphing import captured
from ._placing import Places
from ._recording import Recording
from ._stack import Stack
from ._tape import Tape, run_on_tape
from ._trainable import Step, Trainable, tensors_of

StepFunction = Callable[[Batch, Any, Step], dict[str, Tensor]]

# Numbers in a batch above which its steps are not recorded: what Python and autograd take is
# nothing beside their operations, and to record one holds all that is computed on the way.
_MOST_NUMBERS = 2**22

# Recordings that are kept for later fits in this process. Each holds a few small tensors.
_N_KEPT = 128


def stepper(
    module: Trainable, optimizers: Sequence[Any], *, may_record: bool
) -> StepFunction | RecordedSteps:
    """Return what takes a step: `training_step` of the module, or the same recorded."""
    is_default = type(module).training_step is Trainable.training_step
    plain = type(module).mean_loss is Trainable.mean_loss
    if may_record and is_default and plain and records_steps():
        return RecordedSteps(module, optimizers)
    return module.training_step


class _Recordings:
    """The recordings of a process by what they depend on, the latest ones.

    A key without a recording is of steps that cannot be recorded.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Recording | None] = OrderedDict()
        self._lock = threading.Lock()

    def is_refused(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._kept and self._kept[key] is None

    def get(self, key: Hashable) -> Recording | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, recording: Recording | None) -> None:
        with self._lock:
            self._kept[key] = recording
            if len(self._kept) > _N_KEPT:
                self._kept.popitem(last=False)

    def drop(self, key: Hashable) -> None:
        with self._lock:
            self._kept.pop(key, None)


_recordings = _Recordings()


class RecordedSteps:
    """Takes steps of one module in training, by a recording for each shape of batch.

    The first step of a shape is taken by autograd, and the second is recorded meanwhile, unless
    there is a recording from an earlier training. Then a step is taken both ways, and if
    both give the same bits, all further ones by the recording alone. Should they
    differ, or should a step be impossible to record, steps are taken by autograd.

    Parameters
    ----------
    module : Trainable or Stack
        With the default `training_step`.
    optimizers : sequence of LearningRate
        Those of the module.
    """

    def __init__(self, module: Trainable | Stack, optimizers: Sequence[Any]):
        self._module, self._optimizers = module, optimizers
        self._seen: Any = None

    def refresh(self, *, thoroughly: bool) -> None:
        """Look again at the module before an epoch, thoroughly where something may change it.

        Callbacks freeze layers, replace weights, register hooks, and set attributes.
        """
        seen = [(t.data_ptr(), t.requires_grad) for t in tensors_of(self._module)]
        if self._seen is not None and not thoroughly and seen == self._seen[0]:
            return
        structure = self._module.structure()
        if (seen, structure) == self._seen:
            return
        self._seen = seen, structure
        self._parameters = [p for p in self._module.parameters() if p.requires_grad]
        place = {id(parameter): i for i, parameter in enumerate(self._parameters)}
        self._places = [
            [place.get(id(p)) for p in optimizer.param_groups[0]["params"]]
            for optimizer in self._optimizers
        ]
        self._in_order = self._places == [list(range(len(self._parameters)))]
        trainable = tuple(is_trainable for _, is_trainable in seen)
        self._structure = None if structure is None else (structure, trainable)
        self._n_by_autograd: dict[Hashable, int] = {}
        self._recorded_here: set[Hashable] = set()
        self._runs: dict[Hashable, Callable[..., list[Tensor]]] = {}
        self._memory = Places()

    def __call__(self, batch: Batch, noise: Any, step: Step) -> dict[str, Tensor]:
        passing: list[Tensor] = []
        shapes: list[Hashable] = []
        _flatten((*batch, noise), passing, shapes)
        key = tuple(shapes)
        run = self._runs.get(key)
        if run is None:
            loss, *gradients = self._prepare(key, passing, batch, noise)
            with torch.inference_mode():
                self._step_along(gradients)
        else:
            with torch.inference_mode():
                loss, *gradients = run(*passing)
                self._step_along(gradients)
        return {"loss": loss}

    def _step_along(self, gradients: list[Tensor]) -> None:
        if self._in_order:
            self._optimizers[0].step_along(gradients)
            return
        for optimizer, places in zip(self._optimizers, self._places, strict=True):
            optimizer.step_along([None if i is None else gradients[i] for i in places])

    def _prepare(
        self, shapes: Hashable, passing: list[Tensor], batch: Batch, noise: Any
    ) -> list[Tensor]:
        """Take a step by autograd, on the way to one that is recorded."""

        def by_autograd() -> list[Tensor]:
            return self._loss_and_gradients(batch, noise)

        n_before = self._n_by_autograd.get(shapes, 0)
        self._n_by_autograd[shapes] = n_before + 1
        if self._structure is None or batch.x.numel() > _MOST_NUMBERS:
            return by_autograd()
        key = self._structure, _appearance(batch), _appearance(noise)
        recording = _recordings.get(key)
        if _recordings.is_refused(key) or (recording is None and n_before == 0):
            return by_autograd()
        if recording is None:
            results, tape = run_on_tape(by_autograd)
            _recordings.put(key, self._recording(tape, results, passing))
            self._recorded_here.add(key)
            return results
        results, run = self._compared(by_autograd, recording, passing)
        if run is not None:
            self._runs[shapes] = run
        elif key in self._recorded_here:
            _recordings.put(key, None)
        else:  # one from before the code of the module was changed, say
            _recordings.drop(key)
        return results

    def _recording(
        self, tape: Tape, results: list[Tensor], passing: list[Tensor]
    ) -> Recording | None:
        try:
            return Recording(tape, results, tensors_of(self._module), passing)
        except Exception:  # whatever it is, autograd can do without
            return None

    def _compared(
        self,
        by_autograd: Callable[[], list[Tensor]],
        recording: Recording,
        passing: list[Tensor],
    ) -> tuple[list[Tensor], Callable[..., list[Tensor]] | None]:
        """Return a step by autograd, and the bound recording if that gives the same."""
        buffers = list(self._module.buffers())
        before = [buffer.clone() for buffer in buffers]
        expected = by_autograd()
        after = [buffer.clone() for buffer in buffers]
        with torch.no_grad():

            def repeats(run: Callable[..., list[Tensor]]) -> bool:
                for buffer, value in zip(buffers, before, strict=True):
                    buffer.copy_(value)
                try:
                    found = run(*passing)
                except Exception:  # as above: then there is no recording to run
                    return False
                return all(map(_are_equal, [*expected, *after], [*found, *buffers]))

            bound = recording.bind(tensors_of(self._module), self._memory)
            run = next(filter(repeats, bound), None)
            graph = None if run is None else captured(run, passing)
            if graph is not None and repeats(graph):
                run = graph
            for buffer, value in zip(buffers, after, strict=True):
                buffer.copy_(value)
        return expected, run

    def _loss_and_gradients(self, batch: Batch, noise: Any) -> list[Tensor]:
        loss = self._module.mean_loss(batch, noise)
        if not self._parameters:  # a callback froze all layers
            return [loss.detach()]
        # Of a stack there is a loss for each of its modules, which has no part in the others.
        ones = None if loss.ndim == 0 else torch.ones_like(loss)
        gradients = torch.autograd.grad(loss, self._parameters, ones, allow_unused=True)
        return [loss.detach(), *map(_laid_out, self._parameters, gradients)]


def _laid_out(parameter: Tensor, gradient: Tensor | None) -> Tensor:
    """Return a gradient in the memory layout of its parameter, as optimizers expect it."""
    if gradient is None:
        return torch.zeros_like(parameter)
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def _flatten(values: Iterable[Any], into: list[Tensor], shapes: list[Hashable]) -> None:
    """Add the tensors in nested tuples and lists to a list, and what they look like to another."""
    for value in values:
        if value is None:
            shapes.append(None)
        elif isinstance(value, Tensor):
            into.append(value)
            shapes.append(value.shape)
        else:
            shapes.append(len(value))
            _flatten(value, into, shapes)


def _appearance(value: Any) -> Hashable:
    """Return all that a recording depends on in nested tuples and lists of tensors."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype
    return None if value is None else tuple(map(_appearance, value))


def _are_equal(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
