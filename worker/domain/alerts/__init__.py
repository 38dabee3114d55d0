"""What people are told, and who."""
