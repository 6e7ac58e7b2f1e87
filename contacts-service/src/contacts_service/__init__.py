"""Which of a user's contacts are members: a directory built from events, and a matcher."""
