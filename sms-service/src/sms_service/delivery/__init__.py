"""Delivery: compose a message, claim it, send it through a sender, record the result."""
