"""Turns counts into figures: rates, health, comparison, prices, periods."""
