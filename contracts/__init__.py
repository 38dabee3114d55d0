"""What crosses the wire: models, names and the codec. Installable alone (pydantic only)."""
