"""``accelerate launch -m dubfew.prior.train CONFIG``: train a prior on several processes."""

from __future__ import annotations

from dubfew.prior.training.trainer import main

if __name__ == "__main__":
    main()
