"""Steering: what a form asks for, what a dialog says, and what became of a command. Pure."""
