"""Tickets: sms-service's proof that a number was verified, redeemed once."""
