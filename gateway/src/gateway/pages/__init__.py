"""Pages in front of our own contracts, for people: register, log in, reset the password."""
