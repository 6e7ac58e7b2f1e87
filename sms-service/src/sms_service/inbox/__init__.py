"""The SMS inbox of development: it keeps the messages that phones would have received, for people and tests."""
