"""Services that measure both providers and watch the figures."""
