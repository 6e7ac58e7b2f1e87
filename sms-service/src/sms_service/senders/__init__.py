"""Senders: one port, and one file for each provider."""
