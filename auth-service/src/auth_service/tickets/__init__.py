"""Tickets: proof from sms-service that a number was verified. Each is redeemed once."""
