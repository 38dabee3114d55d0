"""The wire contract: models, names and codec. It can be installed alone (needs only pydantic)."""
