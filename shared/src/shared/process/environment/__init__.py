"""The environment of a process: names that are nearly settings, plain errors, secrets in files and their strength."""
