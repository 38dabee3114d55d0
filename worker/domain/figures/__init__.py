"""Counts turned into figures: rates, health, comparison, prices, periods."""
