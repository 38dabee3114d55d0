"""Is the target worse? What moves traffic back by itself, what an advance must prove."""
