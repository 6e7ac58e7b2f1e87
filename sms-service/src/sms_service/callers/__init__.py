"""Rate limits on callers, by address, network and site."""
