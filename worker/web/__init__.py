"""HTTP servers: delivery-report webhook and health."""
