"""Unsupervised neural networks as scikit-learn estimators, trained by torch."""

from ._config import config_context
from ._fitting import fit_many
from .adversarial import GenerativeAdversarialNetwork
from .autoencoders import (
    AdversarialAutoencoder,
    Autoencoder,
    ConditionalVariationalAutoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    DictionaryAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
    WinnerTakeAllAutoencoder,
)
from .boltzmann import BernoulliRBM, DeepBeliefNetwork, GaussianRBM
from .outlier import OutlierDetector
from .som import SelfOrganizingMap

__version__ = "0.1.0.dev0"

__all__ = [
    "AdversarialAutoencoder",
    "Autoencoder",
    "BernoulliRBM",
    "ConditionalVariationalAutoencoder",
    "ContractiveAutoencoder",
    "DeepBeliefNetwork",
    "DenoisingAutoencoder",
    "DictionaryAutoencoder",
    "GaussianRBM",
    "GenerativeAdversarialNetwork",
    "OutlierDetector",
    "SelfOrganizingMap",
    "SparseAutoencoder",
    "VariationalAutoencoder",
    "WinnerTakeAllAutoencoder",
    "config_context",
    "fit_many",
]
