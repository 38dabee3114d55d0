"""Validation traffic: which provider to probe, when, and what the probes show."""
