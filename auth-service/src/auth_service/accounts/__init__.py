"""Accounts: the record, its columns, user ids, usernames, and the events about a user."""
