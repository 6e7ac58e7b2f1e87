"""Accounts, passwords and sessions; the truth about them is in PostgreSQL."""
