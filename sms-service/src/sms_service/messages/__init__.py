"""What a message says, and how many segments carry it."""
