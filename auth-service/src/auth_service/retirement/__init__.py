"""Accounts that lose their number, because it belongs to someone else by now: they keep their id."""
