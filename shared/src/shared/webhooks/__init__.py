"""Signed HTTP messages: those that we send to servers of an operator, and those that we get."""
