"""Pages that a process serves to people: what the gateway's forms and the SMS inbox have in common."""
