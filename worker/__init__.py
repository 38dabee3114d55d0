"""The worker that moves SMS traffic from one provider to another, step by step."""
