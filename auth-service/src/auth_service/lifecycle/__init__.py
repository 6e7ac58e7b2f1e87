"""The life of an account: registration, password reset, changes by its owner, bans, and erasure."""
