"""Steering: the snapshot in force and who follows it."""
