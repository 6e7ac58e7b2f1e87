"""Calls to servers that are not ours."""
