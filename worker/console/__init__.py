"""The console: a web page that shows the migration and steers it."""
