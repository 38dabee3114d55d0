"""Calls to providers: adapters, transport, breaker and limits."""
