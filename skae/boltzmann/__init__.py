"""Boltzmann machines."""

from ._bernoulli import BernoulliRBM
from ._deep_belief import DeepBeliefNetwork
from ._gaussian import GaussianRBM
from ._likelihood import LogPartition

__all__ = ["BernoulliRBM", "DeepBeliefNetwork", "GaussianRBM", "LogPartition"]
