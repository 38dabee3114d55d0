"""Providers on the wire: adapters, transport, breaker and limits."""
