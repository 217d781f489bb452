"""Pickles of fitted estimators: on the CPU, for a machine with or without an accelerator."""

from __future__ import annotations

import copy
from typing import Any

import torch

from ._compute import resolve_device
from ._validation import CheckedParameters


class Portable(CheckedParameters):
    """An estimator whose pickle can be loaded where its device is missing."""

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "module_" in state and self.device_.type != "cpu":
            names = [name for name in ("module_", "_state") if name in state]
            copies = copy.deepcopy([state[name] for name in names])  # with the same module
            state.update(zip(names, copies, strict=True))
            _move(state, torch.device("cpu"))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "module_" in state:
            try:
                device = resolve_device(self.device)
            except ValueError:  # fitted on another machine
                device = torch.device("cpu")
            _move(self.__dict__, device)


def _move(fitted: dict[str, Any], device: torch.device) -> None:
    """Move a fitted network, and the state of its training if there is one."""
    fitted["module_"].to(device)
    if "_state" in fitted:
        fitted["_state"].to(device)
    fitted["device_"] = device
