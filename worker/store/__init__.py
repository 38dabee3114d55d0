"""MongoDB: records, control log, slots; the only package that knows the driver."""
