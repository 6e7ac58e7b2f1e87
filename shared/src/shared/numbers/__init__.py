"""Numbers as people write them: cleaning, and the numbering plans of other countries."""
