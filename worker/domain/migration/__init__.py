"""How far the migration is, who decides it, and where a message goes."""
