"""Autoencoders from which new rows can be drawn."""

from __future__ import annotations

import copy
import warnings
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.utils.validation import check_is_fitted, check_scalar
from torch import Tensor

from .._random import MAX_SEED, Generator, new_random_state
from .._training import Source, TrainingState, read
from ..layers import is_positive_int
from ._base import BaseAutoencoder

# The mixture of so many normal distributions is fitted to the codes of so many rows.
_N_CLUSTERS, _N_ROWS = 10, 2000


class GenerativeAutoencoder(BaseAutoencoder):
    """An autoencoder whose codes have a prior distribution: new codes make new rows."""

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        *,
        sampler: str = "prior",
        return_mean: bool = False,
    ) -> np.ndarray:
        """Draw new rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Source of the draws; None takes that of the estimator.
        sampler : {"prior", "gmm"}, default="prior"
            Where the codes come from: the prior, or a mixture of 10 normal distributions
            fitted to the codes of the training rows. The latter avoids places where the prior
            has codes and the training rows have none.
        return_mean : bool, default=False
            Whether to return what each code decodes to, instead of a draw from the
            distribution of the rows around it. Of images it looks smoother. Outputs without a
            distribution, such as a squared error, give no more than what is decoded.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Or with the samples in the shape seen in `fit`; float32.
        """
        codes, random_state = self._new_codes(n_samples, sampler, random_state)
        return self._rows_of(codes, None if return_mean else random_state)

    def interpolate(self, X_a: Any, X_b: Any, n_steps: int = 10) -> np.ndarray:
        """Return rows on the way from some rows to others, in equal steps between their codes.

        Parameters
        ----------
        X_a : array-like of shape (n_samples, n_features)
            Where each way begins.
        X_b : array-like of shape (n_samples, n_features)
            Where it ends.
        n_steps : int, default=10
            Number of rows on each way, both ends included.

        Returns
        -------
        ndarray of shape (n_samples, n_steps, n_features)
            What is decoded; or with the samples in the shape seen in `fit`.

        Raises
        ------
        ValueError
            If `X_a` and `X_b` do not have equally many rows.
        """
        check_is_fitted(self)
        check_scalar(n_steps, "n_steps", Integral, min_val=2)
        start, end = (self._read(X, lambda module, x: module.encode(x)) for X in (X_a, X_b))
        if len(start) != len(end):
            raise ValueError(
                f"X_a has {len(start)} rows and X_b has {len(end)}; give equally many."
            )
        part = np.linspace(0, 1, n_steps, dtype=start.dtype)[None, :, None]
        codes = (1 - part) * start[:, None] + part * end[:, None]
        rows = self.inverse_transform(codes.reshape(-1, codes.shape[2]))
        return rows.reshape(len(start), n_steps, *rows.shape[1:])

    def _new_codes(
        self, n_samples: int, sampler: str, random_state: Any
    ) -> tuple[np.ndarray, np.random.RandomState]:
        """Draw codes; return also what draws the rest."""
        check_is_fitted(self)
        if not is_positive_int(n_samples):
            raise ValueError(f"n_samples must be a positive integer, got {n_samples!r}.")
        if sampler not in ("prior", "gmm"):
            raise ValueError(f"sampler must be 'prior' or 'gmm', got {sampler!r}.")
        random_state = new_random_state(self.random_state if random_state is None else random_state)
        if sampler == "prior":
            return self._prior_codes(n_samples, random_state), random_state
        mixture = copy.copy(self.code_mixture_).set_params(random_state=random_state)
        codes = mixture.sample(n_samples)[0].astype(np.float32)
        random_state.shuffle(codes)  # which scikit-learn gives one component after another
        return codes, random_state

    def _prior_codes(self, n_samples: int, random_state: np.random.RandomState) -> np.ndarray:
        shape = n_samples, self._n_features_out
        return Generator(random_state.randint(MAX_SEED)).normal(shape).numpy()

    def _rows_of(self, codes: np.ndarray, random_state: np.random.RandomState | None) -> np.ndarray:
        """Return what codes decode to, or with a random state a draw around each."""
        n_codes, width = codes.shape
        if random_state is None or not hasattr(self._output(), "sample"):
            rows = read(self.module_, lambda module, z: module.decode(z), codes)
        else:
            seed = random_state.randint(MAX_SEED)
            noise = Generator(seed).uniform((n_codes, self.n_features_in_)).numpy()

            def draw(module: Any, x: Tensor) -> Tensor:
                return module.output().sample(module.decoder_output(x[:, :width]), x[:, width:])

            rows = read(self.module_, draw, np.hstack([codes, noise]))
        return self._in_shape(rows)

    def _keep(self, state: TrainingState, source: Source) -> None:
        super()._keep(state, source)
        n_rows = min(_N_ROWS, source.n_rows)
        index = torch.arange(n_rows, device=source.device) * source.n_rows // n_rows
        rows = source.take(index).x.numpy(force=True)
        codes = read(self.module_, lambda module, x: module.encode(x), rows).astype(np.float64)
        mixture = GaussianMixture(
            min(_N_CLUSTERS, len(codes)),
            covariance_type="diag",
            reg_covar=1e-4,
            init_params="random_from_data",
            random_state=0,
        )
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            self.code_mixture_ = mixture.fit(codes if len(codes) > 1 else np.tile(codes, (2, 1)))
