"""What stands before a network: features brought to one scale."""

from ._robust_scaler import RobustFeatureScaler

__all__ = ["RobustFeatureScaler"]
