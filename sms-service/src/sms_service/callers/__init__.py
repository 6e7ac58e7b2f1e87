"""Limits on callers: by address, by network and by site."""
