"""The version of this release: the only place that states it. Every package and document reads it from here."""

VERSION = "0.2.0"
