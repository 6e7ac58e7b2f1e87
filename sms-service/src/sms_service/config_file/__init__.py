"""Reading the settings file: types of fields, and the line of each error."""
