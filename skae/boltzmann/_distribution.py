"""The distribution of a fitted restricted Boltzmann machine: energies, samples, likelihoods."""

from __future__ import annotations

import copy
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from .._compute import chunk_rows, limit_threads
from .._random import MAX_SEED, Generator, new_random_state
from .._training import read
from .._validation import validate_rows
from ..base import BaseTorchEstimator
from ._halves import n_threads
from ._likelihood import MAX_ENUMERATED, LogPartition, annealed, enumerable, exact
from ._module import RBMModule
from ._units import BinaryUnits

# Gibbs steps from the persistent chains to the samples from which annealing runs back.
_STEPS_TO_REVERSE_START = 1000


class Distribution(BaseTorchEstimator):
    """Free energies, draws and likelihoods of a fitted machine."""

    module_: RBMModule

    #: Whether the states of the visible units can be counted.
    _binary_visible: ClassVar[bool] = True

    def free_energy(self, X: Any) -> np.ndarray:
        """Return the free energy of each row, in nats: minus its log-likelihood, up to log Z.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self._read(X, lambda module, x: module.free_energy(x))

    def gibbs(self, v: Any) -> np.ndarray:
        """Draw hidden units given the visible ones `v`, then visible units given these.

        Parameters
        ----------
        v : {array-like, sparse matrix} of shape (n_samples, n_features)
            Visible units to start from.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Visible units after one Gibbs step. The draws go on from call to call.
        """
        check_is_fitted(self)
        v = validate_rows(self, v, reset=False)
        if not hasattr(self, "_gibbs_random_state"):
            self._gibbs_random_state = new_random_state(self.random_state)
        generator = self._generator(self._gibbs_random_state)

        def step(module: RBMModule, x: torch.Tensor) -> torch.Tensor:
            visible_noise, hidden_noise = module.draw_noise(len(x), generator)
            h = module.sample_hidden(module.hidden_activation(x), hidden_noise)
            return module.sample_visible(module.visible_activation(h), visible_noise)

        return read(self.module_, step, v)

    def sample(self, n_samples: int = 1, *, n_gibbs_steps: int = 1000) -> np.ndarray:
        """Draw rows from the machine, by Gibbs sampling from where the training chains ended.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows. Each comes from a Markov chain of its own.
        n_gibbs_steps : int, default=1000
            Steps of each chain. The more, the less the rows depend on the training chains.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The same for each call if `random_state` is an int.
        """
        check_is_fitted(self)
        _check_number("n_samples", n_samples)
        _check_number("n_gibbs_steps", n_gibbs_steps)
        generator = self._generator(new_random_state(self.random_state))
        return self._sample(n_samples, n_gibbs_steps, generator).numpy(force=True)

    @torch.no_grad()
    def _sample(self, n_rows: int, n_steps: int, generator: Generator) -> torch.Tensor:
        module = self.module_
        in_chunk = min(n_rows, chunk_rows(max(module.weight.shape), self.device_))
        chains = torch.arange(n_rows, device=self.device_) % module.n_chains
        parts = []
        shape, device = module.weight.shape, module.weight.device
        with limit_threads(in_chunk * module.weight.numel(), n_threads(shape, in_chunk, device)):
            for start in chains.split(in_chunk):
                h = module.chains[start]
                for _ in range(n_steps):
                    v, h = module.gibbs_step(h, generator)
                parts.append(v)
        return torch.cat(parts)

    def _generator(self, random_state: np.random.RandomState) -> Generator:
        return Generator(random_state.randint(MAX_SEED), self.device_)

    # -- likelihood ----------------------------------------------------------------------

    def log_partition_function(
        self,
        method: str = "ais",
        *,
        n_runs: int = 100,
        n_betas: int = 10_000,
        random_state: int | np.random.RandomState | None = None,
    ) -> LogPartition:
        """Return the log of the partition function Z, in nats.

        Parameters
        ----------
        method : {"ais", "reverse_ais", "exact"}, default="ais"
            Annealed importance sampling from the machine without weights whose visible
            biases fit the data (Salakhutdinov and Murray 2008), whose errors are towards too
            small a Z; the same way back from samples of the machine (Burda et al. 2015),
            whose errors are towards too large a Z, so that both together bracket it; or
            the sum over all states of a layer of at most 20 binary units.
        n_runs : int, default=100
            Number of independent annealing runs.
        n_betas : int, default=10000
            Number of distributions from the first to the last.
        random_state : int, RandomState instance or None, default=None
            Source of the draws; None takes that of the estimator.

        Returns
        -------
        LogPartition
            A named tuple of `value` and `standard_error`. The error is that between the
            runs; it does not include errors that all of them share.

        Raises
        ------
        ValueError
            If no layer is small enough to be counted, or if the hidden units are
            rectified linear ones, which have no common distribution with the visible ones.
        """
        check_is_fitted(self)
        if method not in ("ais", "reverse_ais", "exact"):
            raise ValueError(f"method must be 'ais', 'reverse_ais' or 'exact', got {method!r}.")
        if self.module_.hidden is not BinaryUnits:
            raise ValueError(
                "The partition function needs hidden='binary': rectified linear units are defined "
                "by how they are drawn, and have no distribution together with the visible units."
            )
        _check_number("n_runs", n_runs)
        _check_number("n_betas", n_betas, least=2)
        binary_visible = self._binary_visible
        with torch.inference_mode():
            if method == "exact":
                if not enumerable(self.module_, binary_visible=binary_visible):
                    n_components, n_features = self.module_.weight.shape
                    raise ValueError(
                        f"method='exact' counts the states of a layer of at most {MAX_ENUMERATED} "
                        f"binary units, but there are {n_features} visible and {n_components} "
                        "hidden ones; use method='ais'."
                    )
                module = copy.deepcopy(self.module_).cpu().double()
                return exact(module, binary_visible=binary_visible)
            state = self.random_state if random_state is None else random_state
            generator = self._generator(new_random_state(state))
            start = None
            if method == "reverse_ais":
                start = self._sample(n_runs, _STEPS_TO_REVERSE_START, generator)
            return annealed(
                self.module_, n_runs=n_runs, n_betas=n_betas, generator=generator, start=start
            )

    def log_likelihood(
        self, X: Any, log_partition: float | LogPartition | None = None
    ) -> np.ndarray:
        """Return the log-likelihood of each row, in nats.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.
        log_partition : float or LogPartition, default=None
            The log of the partition function, or what `log_partition_function` returned. None
            computes it exactly where a layer has at most 20 binary units, and otherwise
            estimates it with the defaults of `log_partition_function`, which takes minutes
            for large machines.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If `log_partition` is something else.
        """
        check_is_fitted(self)
        if log_partition is None:
            small = enumerable(self.module_, binary_visible=self._binary_visible)
            log_partition = self.log_partition_function("exact" if small else "ais")
        if isinstance(log_partition, LogPartition):
            log_partition = log_partition.value
        if not isinstance(log_partition, Real) or isinstance(log_partition, bool):
            raise ValueError(
                "log_partition must be a number or what log_partition_function returns, got "
                f"{log_partition!r}."
            )
        return -self.free_energy(X) - float(log_partition)


def is_integer(value: Any) -> bool:
    """Whether a value is an integer, which a bool is not meant to be."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check_number(name: str, value: Any, least: int = 1) -> None:
    if not is_integer(value) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")
