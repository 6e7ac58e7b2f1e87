"""Access tokens and refresh tokens of a session, and the session that a token belongs to."""
