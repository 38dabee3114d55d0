"""Alerts: records them, and notifies people of them."""
