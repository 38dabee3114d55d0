"""MongoDB: records, control log and metrics. Only this package uses the driver."""
