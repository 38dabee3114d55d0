"""Who is told of trouble, how, and how often."""
