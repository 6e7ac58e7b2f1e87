"""Access tokens and refresh tokens of a session."""
