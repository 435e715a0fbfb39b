"""Comparison of folders of outputs with folders of originals: any system, many clips."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dubfew.data.clip_index import VIDEO_SUFFIXES
from dubfew.errors import DubfewError
from dubfew.evaluate.compare import FIELD_NAMES, EvaluationResult, evaluate
from dubfew.evaluate.intervals import bootstrap_mean
from dubfew.evaluate.metrics import METRICS
from dubfew.evaluate.perceptual.frechet import pool_distance
from dubfew.progress import ProgressCallback, no_progress

# Values that stand for no metric.
_NO_METRIC = ("frames",)


@dataclass(frozen=True)
class FolderResult:
    """Measures of several clips.

    Attributes:
        clips: results by clip.
        means: mean of each measure over the clips; sets of features are pooled over all frames
            instead. None where no clip has a value.
        intervals: lowest and highest mean with 95 % probability, by a bootstrap over the clips.
        failed: why a clip could not be measured, by clip.
    """

    clips: Mapping[str, EvaluationResult]
    means: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float]]
    failed: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "clips": {name: result.to_json() for name, result in self.clips.items()},
            "mean": dict(self.means),
            "intervals": {
                name: list(ends) if np.isfinite(ends).all() else None
                for name, ends in self.intervals.items()
            },
            "failed": dict(self.failed),
        }


def pair_files(references: Path, outputs: Path) -> dict[str, tuple[Path, Path]]:
    """Pair the videos of two folders whose names are the same but for the suffix.

    Args:
        references: folder of originals, or one original for all outputs.
        outputs: folder of outputs.

    Returns:
        Original and output by name, in alphabetical order.

    Raises:
        DubfewError: There are no pairs, or an output has no original or two.
    """
    found = list_videos(outputs)
    if references.is_file():
        return {path.stem: (references, path) for path in found}
    originals: dict[str, Path] = {}
    for path in list_videos(references):
        if path.stem in originals:
            raise DubfewError(f"{path} and {originals[path.stem]} have one name: keep one of them")
        originals[path.stem] = path
    lost = [path.name for path in found if path.stem not in originals]
    if lost:
        raise DubfewError(
            f"{references} has no original for {', '.join(lost[:3])}"
            f"{' and others' if len(lost) > 3 else ''}: name outputs like their originals"
        )
    return {path.stem: (originals[path.stem], path) for path in found}


def list_videos(folder: Path) -> list[Path]:
    """List the videos of a folder in alphabetical order.

    Raises:
        DubfewError: There are none.
    """
    found = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES
    )
    if not found:
        raise DubfewError(f"{folder} has no videos: give a folder of videos")
    return found


def evaluate_folder(
    references: Path,
    outputs: Path,
    *,
    only: Collection[str] | None = None,
    measure: Callable[..., EvaluationResult] = evaluate,
    progress: ProgressCallback = no_progress,
    **options: Any,
) -> FolderResult:
    """Measure every output of a folder against its original; one that fails is named.

    Args:
        references: folder of originals with the same names, or one original for all outputs.
        outputs: folder of outputs.
        only: names of the clips to measure, without suffix; None for all.
        measure: compares one pair.
        progress: function that is called with the state of each comparison.
        **options: options of `evaluate`.

    Raises:
        DubfewError: There are no pairs, or none of them can be measured.
    """
    results: dict[str, EvaluationResult] = {}
    failed: dict[str, str] = {}
    for name, (reference, output) in pair_files(references, outputs).items():
        if only is not None and name not in only:
            continue
        try:
            results[name] = measure(reference, output, progress=progress, **options)
        except DubfewError as error:
            failed[name] = str(error)
    if not results:
        raise DubfewError(f"no output of {outputs} can be measured: {next(iter(failed.values()))}")
    return summarize(results, failed)


def summarize(results: Mapping[str, EvaluationResult], failed: Mapping[str, str]) -> FolderResult:
    """Average the measures of several clips.

    Args:
        results: results by clip.
        failed: why other clips could not be measured, by clip.
    """
    means: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float]] = {}
    rows = [result.to_json() for result in results.values()]
    names = [name for name in (*FIELD_NAMES, *METRICS.names) if name not in _NO_METRIC]
    for name in dict.fromkeys(names):
        values = np.array([np.nan if row.get(name) is None else row[name] for row in rows], float)
        finite = values[np.isfinite(values)]
        means[name] = float(finite.mean()) if len(finite) else None
        if len(finite) > 1:
            intervals[name] = bootstrap_mean(values)
    for name in {name for result in results.values() for name in result.sets}:
        means[name] = pool_distance(result.sets[name].statistics for result in results.values())
        intervals.pop(name, None)  # a mean of distances is not the distance of the pool
    return FolderResult(results, means, intervals, failed)
