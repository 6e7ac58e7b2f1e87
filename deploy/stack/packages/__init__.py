"""Programs that no wheel offers and that come from Debian packages."""
