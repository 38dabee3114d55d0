"""Steering: commands, queries, and the snapshot in force."""
