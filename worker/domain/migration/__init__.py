"""The state of the migration, the changes of it, and the routing of messages."""
