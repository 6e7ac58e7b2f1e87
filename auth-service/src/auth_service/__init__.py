"""auth-service: accounts, passwords, sessions and tokens. PostgreSQL holds the truth about all of them."""
