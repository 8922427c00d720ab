"""The Sky Above The Clouds."""

from sky_broker.network import NetworkGrid

__all__ = ["NetworkGrid"]
