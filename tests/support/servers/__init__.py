"""Servers for tests beside those of the stack: with TLS, and several in the place of one."""
