"""Notices to people: by mail, and to an address on the web."""
