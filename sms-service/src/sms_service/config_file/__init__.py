"""Reading the settings file: kinds of fields, and the line of each error."""
