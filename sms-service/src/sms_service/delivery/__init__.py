"""Delivery: claim a message, compose it, send it through a sender, record the result."""
