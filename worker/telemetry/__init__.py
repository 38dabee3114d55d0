"""Logs, traces and metrics: subscribers to what happens, never a cause."""
