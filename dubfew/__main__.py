"""Entry point of ``python -m dubfew``, which is the ``dubfew`` command."""

from dubfew.cli import main

if __name__ == "__main__":
    main()
