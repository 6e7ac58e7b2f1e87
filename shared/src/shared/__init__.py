"""What crosses a process: contracts, events, errors, numbers, tickets; and thin plumbing for all of them."""
