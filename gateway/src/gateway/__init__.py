"""The public API: dialects translate each contract, flows act on it, and the services behind do the work."""
