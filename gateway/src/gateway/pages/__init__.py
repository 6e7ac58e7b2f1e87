"""Forms for people: register, log in, reset the password. Each is a client of one contract."""
