"""The operator API, a process of its own, and the command that calls it: roles, and what each may do."""
