"""Senders: one port, and one module for each provider."""
