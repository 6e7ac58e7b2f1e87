"""Finds the members among a user's contacts: a directory built from events, and a matcher."""
