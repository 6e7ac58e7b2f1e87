"""What operators ask of codes: why a number gets none, and what lets it get one again."""
