"""Promises that follow from settings, and how they are printed."""
