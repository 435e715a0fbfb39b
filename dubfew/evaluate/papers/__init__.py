"""Protocols and published tables of papers, as data, and their runs."""
