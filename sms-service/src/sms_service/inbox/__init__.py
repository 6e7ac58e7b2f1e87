"""The SMS inbox of development: what would have gone to telephones, for a person or a test to read."""
