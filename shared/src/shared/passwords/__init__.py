"""Passwords: what the gateway and auth-service know of them alike."""
