"""Codes and the messages that carry them: issue, limit, deliver, check."""
