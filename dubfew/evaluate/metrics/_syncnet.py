"""SyncNet's score of an output, from which three metrics are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubfew.evaluate.metrics._base import ClipMeasure, ClipPair, MetricRequirement

if TYPE_CHECKING:
    from dubfew.evaluate.lipsync.syncnet import LipSyncScore, SyncNet

SYNCNET_SOURCE = (
    "Chung and Zisserman 2016, Out of Time: Automated Lip Sync in the Wild; Prajwal et al. 2020, "
    "A Lip Sync Expert Is All You Need for Speech to Lip Generation in the Wild "
    "(arXiv 2008.10010), sec. 4"
)


def _load_syncnet(path: Any) -> SyncNet:
    from dubfew.evaluate.lipsync import syncnet  # imports torch

    return syncnet.load_released_syncnet(path)


SYNCNET_WEIGHTS = MetricRequirement(
    name="syncnet",
    description="syncnet_v2.model of https://github.com/joonson/syncnet_python",
    load=_load_syncnet,
    asset="syncnet",
)


def _score_lip_sync(clips: ClipPair, network: SyncNet) -> LipSyncScore:
    from dubfew.evaluate.lipsync.sync_score import measure_lip_sync

    return measure_lip_sync(clips.output, clips.output_landmarks, network, progress=clips.progress)


def measure_syncnet(field: str) -> ClipMeasure:
    """Make the measure of one field of `LipSyncScore`; the score itself is computed once."""

    def measure(network: SyncNet, clips: ClipPair) -> float:
        return getattr(clips.compute_once(_score_lip_sync, network), field)

    return ClipMeasure(measure)
