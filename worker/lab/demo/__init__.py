"""The migration from beginning to end on one machine, with a verdict from the journals."""
