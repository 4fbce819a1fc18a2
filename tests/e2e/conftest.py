"""The fixtures of this folder."""

from tests.e2e.deployment import deployment, new_deployment

__all__ = ["deployment", "new_deployment"]
