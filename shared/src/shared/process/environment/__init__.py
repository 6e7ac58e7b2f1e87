"""The environment of a process: names that are nearly settings, plain errors, URLs of servers, and secrets."""
