"""The samples of docs/guides as programs, and the tools that check them."""
