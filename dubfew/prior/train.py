"""Entry point of ``accelerate launch -m dubfew.prior.train CONFIG``, on one process or several."""

from __future__ import annotations

from dubfew.prior.training.trainer import main

if __name__ == "__main__":
    main()
