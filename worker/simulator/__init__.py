"""Real HTTP servers that play the providers, with scripted faults."""
