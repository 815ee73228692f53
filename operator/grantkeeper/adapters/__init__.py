"""Touches: one outside thing a module, and its only importer."""
