"""The fixtures of this folder."""

from tests.e2e.deployment import deployment, new_deployment, user_prefix

__all__ = ["deployment", "new_deployment", "user_prefix"]
