"""The parts of the prior's training; the loop itself is `dubfew.prior.training.trainer`."""
