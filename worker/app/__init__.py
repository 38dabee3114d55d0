"""The one room where everything is built: settings in, services in start order out."""
