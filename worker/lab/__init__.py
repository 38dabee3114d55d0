"""Tools that run beside the worker on one machine: simulated providers, local stack, demo."""
