"""Fits that go on in another process: the state of a training, in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ._training import Source, TrainingState, tensors_of
from ._warn import warn

_FILE = "checkpoint.safetensors"

# Parameters by which fits are not told apart.
_IRRELEVANT = {"checkpoint", "checkpoint_every", "callbacks", "device", "n_jobs", "verbose"}

# A tensor in a nested state is replaced by this name with its number.
_TENSOR = "__tensor__"


def open_checkpoint(
    estimator: Any, source: Source, validation: Source | None, *, warm: bool
) -> Checkpoint | None:
    """Open the checkpoint of a fit, if the estimator asks for one.

    Parameters
    ----------
    estimator : BaseTorchEstimator
        What is fitted.
    source, validation : Source, Source or None
        The rows that `fit` was given.
    warm : bool
        Whether the fit goes on from an earlier one.

    Raises
    ------
    ValueError
        If the folder holds the checkpoint of another fit, or one that cannot be read.
    """
    folder = getattr(estimator, "checkpoint", None)
    if folder is None:
        return None
    parameters = {
        name: _shown(value)
        for name, value in estimator._parameters_of_fit().items()
        if name not in _IRRELEVANT
    }
    before = [one.detach().cpu() for one in tensors_of(estimator.module_)] if warm else []
    fit = {
        "estimator": type(estimator).__name__,
        **parameters,
        "the training rows": _hash_of(source),
        "X_val": None if validation is None else _hash_of(validation),
        "the fit that warm_start goes on from": joblib.hash([one.numpy() for one in before]),
        "the version of skae": _version(),
        "the version of torch": torch.__version__,
        "the kind of device": source.device.type,
    }
    checkpoint = Checkpoint(Path(folder), estimator.checkpoint_every, fit)
    checkpoint.check(before)
    return checkpoint


class Checkpoint:
    """The state of a training in a folder, written after every so many epochs.

    The file is replaced as a whole, so that a process that is killed leaves the last complete one.
    It holds tensors and text (safetensors with JSON), nothing that is executed when it is read.

    Parameters
    ----------
    folder : Path
        Where it lies; made if it is not there.
    every : int
        Number of epochs from one to the next.
    fit : dict
        What decides on the result of the fit, by name.
    """

    def __init__(self, folder: Path, every: int, fit: Mapping[str, Any]):
        self._folder, self._every, self._fit = folder, every, dict(fit)
        self._path = folder / _FILE
        self._draws: dict[str, Any] | None = None
        self._has_failed = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(
                f"checkpoint must be a folder, but {error.filename!r} is a file."
            ) from None
        self._saved = self._read()

    def _read(self) -> dict[str, Any] | None:
        if not self._path.exists():
            return None
        try:
            with safe_open(self._path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                saved = json.loads(file.metadata()["skae"])
            return _with_tensors(saved, tensors)
        except (SafetensorError, OSError, TypeError, ValueError, KeyError) as error:
            raise ValueError(
                f"The checkpoint {str(self._path)!r} cannot be read ({error}); delete it to start "
                "anew."
            ) from error

    def check(self, before: list[Tensor]) -> None:
        """Refuse a file that is of another fit.

        One whose result is where this fit begins (`before`, with warm_start) is left behind.
        """
        if self._saved is None:
            return
        there, here = self._saved["fit"], self._fit
        other = [name for name in {**there, **here} if there.get(name) != here.get(name)]
        if not other:
            return
        result = self._saved["state"]["module"]
        if before and len(before) == len(result) and all(map(torch.equal, before, result)):
            self._saved = None
            return
        raise ValueError(
            f"The folder {str(self._folder)!r} holds the checkpoint of another fit: it differs in "
            f"{', '.join(other)}. Give each fit a folder of its own, or delete "
            f"{str(self._path)!r} to start anew."
        )

    @property
    def is_finished(self) -> bool:
        """Whether the file holds the result of the whole fit."""
        return self._saved is not None and self._saved["state"]["ending"] is not None

    def share_draws(self, random_state: np.random.RandomState) -> None:
        """Let a source of random numbers begin where it began when the fit did."""
        if self._saved is not None:
            draws = self._saved["draws"]
            numbers = {
                name: one.numpy().astype(np.uint32) if isinstance(one, Tensor) else one
                for name, one in draws["state"].items()
            }
            random_state.set_state({**draws, "state": numbers})
        self._draws = random_state.get_state(legacy=False)

    def resume(self, state: TrainingState) -> None:
        """Let a state that is about to be trained go on from the file, if there is one."""
        if self._saved is not None:
            state.load_state_dict(self._saved["state"])
            if self.is_finished:
                state.module.eval()

    def finish(self, state: TrainingState) -> None:
        """Write the result of a fit that is through; or say that it was there already."""
        if self.is_finished:
            warn(
                f"The folder {str(self._folder)!r} holds the result of this fit, which is taken as "
                f"it is; delete {str(self._path)!r} to fit anew."
            )
        elif state.ending in ("converged", "max_iter", "stopped"):
            self.save(state)

    def save(self, state: TrainingState) -> None:
        """Write the state after an epoch, if it is time to, and after the last one.

        What cannot be written, because the disk is full, say, is no reason to lose the fit: it
        warns, and the file remains what it was.
        """
        if state.ending is None and len(state.history) % self._every:
            return
        tensors: dict[str, Tensor] = {}
        known = state.state_dict()
        known["history"] = [_noted(epoch) for epoch in state.history]
        content = {"fit": self._fit, "draws": self._draws, "state": known}
        text = json.dumps(_without_tensors(content, tensors), default=np.generic.item)
        unfinished = self._path.with_suffix(".unfinished")
        try:
            save_file(tensors, unfinished, {"skae": text})
            with open(unfinished, "rb+") as file:
                os.fsync(file.fileno())
            unfinished.replace(self._path)
        except (OSError, SafetensorError) as error:
            if not self._has_failed:
                warn(
                    f"The checkpoint of epoch {len(state.history)} cannot be written ({error}); "
                    "the fit goes on without it."
                )
            self._has_failed = True
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)


def _hash_of(source: Source) -> str:
    found: Any = source.fingerprint()
    kind, (_, *shape), *arrays = found  # whatever the device
    return str(joblib.hash((kind, shape, arrays)))


def _shown(value: Any) -> str:
    """Return what tells a parameter from others, in words if they say all."""
    value = _as_python(value)
    is_plain = isinstance(value, str | int | float | tuple | None)
    return repr(value) if is_plain else f"{type(value).__name__} {joblib.hash(value)}"


def _as_python(value: Any) -> Any:
    """Return a number of numpy, as from a grid, as one of Python, and a list as a tuple."""
    if isinstance(value, list | tuple):
        return tuple(map(_as_python, value))
    return value.item() if isinstance(value, np.generic) else value


def _version() -> str:
    from . import __version__  # which is set when all modules are there

    return __version__


def _without_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a nested state with names in place of tensors, and collect those."""
    if isinstance(value, np.ndarray):  # the key of numpy's generator
        value = torch.from_numpy(value.astype(np.int64))
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # Copies, since safetensors takes none that share memory.
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {key: _without_tensors(one, tensors) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(one, tensors) for one in value]
    return value


def _with_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _with_tensors(one, tensors) for key, one in value.items()}
    return [_with_tensors(one, tensors) for one in value] if isinstance(value, list) else value


def _noted(epoch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers and words in an epoch of a history, of whatever callbacks noted there."""
    values = {
        str(name): value.item()
        if isinstance(value, Tensor | np.generic) and value.ndim == 0
        else value
        for name, value in epoch.items()
    }
    return {name: value for name, value in values.items() if isinstance(value, str | int | float)}
