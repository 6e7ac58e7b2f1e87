"""Why no code? The rows of a number, as one timeline for each verification, and one line that answers."""
