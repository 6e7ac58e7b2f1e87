"""What several test folders share: an app that speaks to the system, and a look into its tables."""
