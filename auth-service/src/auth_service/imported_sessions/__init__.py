"""Sessions that another system opened, whose tokens live on."""
