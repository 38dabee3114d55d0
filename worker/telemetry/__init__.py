"""Logs, traces and metrics. They observe the worker and never change what it does."""
