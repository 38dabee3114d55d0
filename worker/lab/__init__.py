"""What runs beside the worker on one machine: simulated providers, the local stack, the demo."""
