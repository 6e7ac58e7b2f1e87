"""The parsers of bodies: each refuses cheaply what it would be costly to parse."""
