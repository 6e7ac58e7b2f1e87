"""How often users may change their account: a limit for each user, over all changes."""
