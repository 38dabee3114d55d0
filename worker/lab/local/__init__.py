"""The whole stack on one machine: real broker, real database, real processes."""
