"""Passwords: their hashes, the threads that compute them, and the limits on wrong ones."""
