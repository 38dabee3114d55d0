"""Validation traffic: whom to probe, when, and what it shows."""
