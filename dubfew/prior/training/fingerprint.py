"""Fingerprint of a training of the prior: what has to be the same when the run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sized
from typing import Any

from dubfew.data.clip_shards import LAG_KEY
from dubfew.prior.checkpoint import renderer_config_to_dict
from dubfew.prior.training.config import PriorTrainConfig

# Keys of the configuration that may change from one part of a run to the next. How long the run is
# and what it writes does not decide its steps; the people are compared by their data instead of
# ``exclude``, and the size of a step by the product of batch, accumulation and processes.
CHANGEABLE_CONFIG_KEYS = (
    "steps",
    "checkpoint",
    "workers",
    "tensorboard",
    "exclude",
    "batch",
    "accumulate",
)


def compute_run_fingerprint(
    config: PriorTrainConfig,
    renderer: Any,
    people: Iterable[tuple[Sized, Mapping[str, Any]]],
    start: Mapping[str, str],
    num_processes: int,
) -> dict[str, Any]:
    """Collect what decides the steps of a run.

    Args:
        config: configuration of the run.
        renderer: network that is trained.
        people: footage and header of everybody in the training, in order.
        start: name and SHA-256 of the prior that the run starts from; empty for fresh weights.
        num_processes: processes that share a step.

    Returns:
        JSON values; equal for two parts of the same run.
    """
    same = {
        name: value
        for name, value in config.to_public_dict().items()
        if name not in CHANGEABLE_CONFIG_KEYS
    }
    same["renderer_config"] = renderer_config_to_dict(renderer)
    same["start"] = dict(start)
    same["samples_per_step"] = config.batch * config.accumulate * num_processes
    # Data whose sound was moved since is other data; states that are older have no such key.
    clips = [
        [h.get("file"), h.get("sha256"), len(footage), *([h[LAG_KEY]] if LAG_KEY in h else [])]
        for footage, h in people
    ]
    same["people"] = hashlib.sha256(json.dumps(clips).encode()).hexdigest()[:12]
    return json.loads(json.dumps(same))  # as a state has it: lists instead of tuples
