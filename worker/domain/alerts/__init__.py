"""Alerts: their codes, the notices about them, and the recipients."""
