"""What the services share: internal APIs, events, errors, numbers, tickets, and thin clients of their servers."""
