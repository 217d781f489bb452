"""Features that a linear model can take as they are."""

from ._layer_features import LayerFeatures
from ._window_features import WindowFeatures

__all__ = ["LayerFeatures", "WindowFeatures"]
