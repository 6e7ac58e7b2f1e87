"""Web pages: what the gateway's forms and the SMS inbox have in common."""
