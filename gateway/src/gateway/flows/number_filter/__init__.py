"""Which numbers have no account, known without a question to auth-service, and for which callers that is not used."""
