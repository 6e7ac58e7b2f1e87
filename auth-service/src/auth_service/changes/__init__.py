"""How often users may change their account: a limit for each user and each kind of change."""
