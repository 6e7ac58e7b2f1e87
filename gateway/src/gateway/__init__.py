"""The public face: dialects translate, flows decide, backends ask."""
