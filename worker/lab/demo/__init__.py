"""The demo: a whole migration on one machine, with a verdict from the journals."""
