"""What operators do with the command line."""
