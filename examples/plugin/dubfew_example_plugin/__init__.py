"""Parts for dubfew. Each module is found by an entry point in pyproject.toml."""
