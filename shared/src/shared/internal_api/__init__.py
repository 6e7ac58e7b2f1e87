"""The internal APIs of the services: each endpoint is declared once, and both ends import it."""
