"""Pictures of what estimators have learned, in the manner of scikit-learn's displays.

A display stores arrays; `from_estimator` computes them, and `plot` draws them on axes, given or
new. matplotlib is imported when something is drawn.
"""

from ._components import ComponentsDisplay
from ._explanation import ExplanationDisplay
from ._latent_space import LatentSpaceDisplay
from ._loss_curve import LossCurveDisplay
from ._reconstruction import ReconstructionDisplay
from ._scores import ScoreHistogramDisplay
from ._search import SearchDisplay
from ._som import SOMDisplay

__all__ = [
    "ComponentsDisplay",
    "ExplanationDisplay",
    "LatentSpaceDisplay",
    "LossCurveDisplay",
    "ReconstructionDisplay",
    "SOMDisplay",
    "ScoreHistogramDisplay",
    "SearchDisplay",
]
