"""Measurements of dubfew: ``python -m benchmarks.<name> --help``; ``make bench`` runs them all."""
