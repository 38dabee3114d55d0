"""What is measured, and the services that look at it."""
