"""Settings: from the environment, validated whole, and what their values may be."""
