"""Shadow runs: calls that another back end answered are sent to Haoma, and both answers are compared."""
