"""Which numbers have no account, known without a question to auth-service."""
