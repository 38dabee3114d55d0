"""Command line: one module a group of commands."""
