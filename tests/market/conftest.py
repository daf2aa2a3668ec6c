"""Fixtures of the market's tests."""

from tests.support.stripe_site import shop, stripe_server

__all__ = ["shop", "stripe_server"]
