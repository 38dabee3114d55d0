"""Builds everything from the settings and puts the services in start order."""
