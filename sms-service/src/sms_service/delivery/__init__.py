"""The delivery worker: claim a message, choose a sender, send, record."""
