"""What each part of a page says: frozen view models, made from what is known and who looks."""
