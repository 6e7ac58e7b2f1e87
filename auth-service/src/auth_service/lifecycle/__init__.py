"""The life of an account: registered, changed by its owner, banned, erased."""
