"""Prepare a folder of videos as shards of footage, which training reads.

Every clip becomes a tar of its own first (a part, by `dubfew.data.prepare_clip` in a worker
process). Parts are joined to shards in the order of the clips, whoever is ready first. Whatever is
finished survives a killed run.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dubfew.data.clip_index import (
    SourceClip,
    exclusion_keys,
    find_clips,
    is_excluded,
    normalize_excluded_names,
    read_exclude_list,
    select_split,
)
from dubfew.data.executors import CLIP_EXECUTORS
from dubfew.data.jobs import ClipExecutor, ClipJob, ClipOutcome
from dubfew.data.options import PrepareOptions
from dubfew.data.shards import ShardWriter, list_stored_clips, read_shard, rewrite_shards
from dubfew.errors import ArtefactError, DubfewError
from dubfew.progress import Progress, ProgressCallback, no_progress
from dubfew.utils.files import check_writable_folder, write_atomic
from dubfew.utils.options import document_options, merge_options

MANIFEST_FORMAT_VERSION = 1
# Head model of prepared data: the one that ships, so that a prior may ship as well.
HEAD_MODEL_NAME = "lite"
# Folder within the output for finished clips that are not in a shard yet.
PARTS_FOLDER = ".parts"


@dataclass(frozen=True)
class PrepareResult:
    """Result of `prepare_footage`: its own work, and the content of the folder after it.

    Attributes:
        out: the folder of shards.
        identities: number of people in the folder.
        clips: number of clips in the folder.
        frames: number of frames in the folder.
        seconds: length of the footage in the folder, s.
        written: files of the clips that this call prepared, in order.
        failed: reason of the failure of each clip that was skipped, by file.
        excluded: files of the clips that the exclude list left out.
        removed: files of the clips that were in the folder and are gone: they are excluded, belong
            to another split now, or their video changed.
        unmatched: names of the exclude list that belong to no clip.
    """

    out: Path
    identities: int
    clips: int
    frames: int
    seconds: float
    written: list[str]
    failed: dict[str, str]
    excluded: list[str]
    removed: list[str]
    unmatched: list[str]


@document_options(PrepareOptions)
def prepare_footage(
    folder: Path,
    out: Path,
    options: PrepareOptions | None = None,
    *,
    progress: ProgressCallback = no_progress,
    **overrides: Any,
) -> PrepareResult:
    """Turn a folder of videos into shards of prepared footage.

    If the clips come from a list (a CSV, or ``manifest.json`` in the folder), only those of
    ``split`` are prepared, see `select_split`.

    A run that was stopped, however hard, goes on where it was: a finished clip is neither lost
    nor prepared twice. A clip that cannot be prepared is reported and skipped. The result does
    not depend on ``jobs`` or ``engine``.

    Args:
        folder: folder of videos, see `find_clips` for the clips that it has and their identities.
        out: folder of the shards; one for each split.
        options: the options below as one object; those given as keywords override it.
        progress: called with the numbers of clips and frames that are done.

    Raises:
        DubfewError: There is nothing to prepare, nothing could be prepared, an option is wrong, or
            ``out`` holds other data; with ``strict`` also if any clip failed.
        MissingDependencyError: The engine is Ray, which is not installed.
    """
    options = merge_options(PrepareOptions, options, overrides)
    identities = None if options.identities is None else Path(options.identities)
    exclude = None if options.exclude is None else Path(options.exclude)
    window_size = options.window_size
    run_jobs = CLIP_EXECUTORS.load(options.engine)
    clips, refused = select_split(
        find_clips(folder, identities=identities, by=options.by), options.split
    )
    if not clips:
        raise DubfewError(
            f"no clip to prepare in {folder}: put videos there, or check its manifest, the CSV of "
            "identities and --split"
        )
    # Leave out everybody whose name or file is listed. Hashes are known only when a worker reads a
    # video: it compares them.
    names = frozenset() if exclude is None else read_exclude_list(exclude)
    included = [clip for clip in clips if not is_excluded(clip.metadata(), names)]
    left_out = {clip.file for clip in clips} - {clip.file for clip in included}
    unmatched = names - {name for clip in clips for name in exclusion_keys(clip.metadata())}
    with _locked_folder(out):
        # First remove from the folder whatever the lists no longer allow.
        before = list_stored_clips(out)
        _check_window_format(out, before, window_size)
        unmatched -= {name for clip in before for name in exclusion_keys(clip)}
        left_out |= {clip["file"] for clip in before if is_excluded(clip, names)}
        gone = {clip.file for clip in refused} | left_out
        removed = _reconcile_stored_clips(
            out, [clip for clip in included if clip.file not in gone], gone
        )
        # Then prepare what is missing.
        done = {clip["file"] for clip in list_stored_clips(out)}
        run = _PrepareRun(
            out, [clip for clip in included if clip.file not in done], window_size, names
        )
        run.remove_stale_parts()
        run.prepare_missing(run_jobs, options.jobs, options.shard_bytes, progress)
        left_out |= run.excluded.keys()
        unmatched -= set(run.excluded.values())
        # Last the list of what is there now, from the shards themselves.
        after = write_manifest(out, failed=run.failed, excluded=sorted(left_out))
    result = PrepareResult(
        out=out,
        identities=len({clip["identity"] for clip in after}),
        clips=len(after),
        frames=sum(clip["frames"] for clip in after),
        seconds=round(sum(clip.get("seconds") or 0.0 for clip in after), 3),
        written=run.written,
        failed=run.failed,
        excluded=sorted(left_out),
        removed=removed,
        unmatched=sorted(unmatched),
    )
    if run.failed and (options.strict or not after):
        file, reason = next(iter(run.failed.items()))
        raise DubfewError(
            f"{len(run.failed)} of {len(included)} clips could not be prepared, the first one is "
            f"{file}: {reason} ({out / 'manifest.json'} has all reasons)"
        )
    return result


def purge_footage(out: Path, exclude: Collection[str]) -> list[str]:
    """Remove people from prepared data; their videos are not needed.

    Args:
        out: folder that `prepare_footage` filled.
        exclude: identities, files or SHA-256 sums.

    Returns:
        Files of the removed clips.

    Raises:
        ArtefactError: A file in the folder is damaged.
        DubfewError: The folder does not exist, or another run is writing to it.
    """
    names = normalize_excluded_names(exclude)
    if not out.is_dir():
        raise DubfewError(
            f"no prepared footage in {out}: name the folder that `prepare_footage` filled"
        )
    with _locked_folder(out):
        # Failures and exclusions are known from the manifest alone.
        before = _read_own_manifest(out)
        removed = rewrite_shards(out, lambda header: None if is_excluded(header, names) else header)
        # A killed run may have left parts of the same people.
        _clear_folder(out / PARTS_FOLDER)
        write_manifest(
            out,
            failed=before.get("failed", {}),
            excluded=sorted({*before.get("excluded", []), *removed}),
        )
    return removed


@contextmanager
def _locked_folder(out: Path) -> Iterator[None]:
    """Lock a folder against other runs; the system unlocks it when the process dies.

    Raises:
        DubfewError: Another run holds the lock, or the folder cannot be written to.
    """
    check_writable_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise DubfewError(f"another run is writing to {out}: wait for it to end") from error


def _check_window_format(out: Path, clips: Iterable[dict[str, Any]], window_size: int) -> None:
    """Refuse to mix windows of two sizes or head models in one folder.

    Raises:
        DubfewError: A clip in the folder has another size or head model.
    """
    # Clips of earlier versions may lack both facts; then they are as they always were.
    for clip in clips:
        if (
            clip.get("size", window_size) != window_size
            or clip.get("head", HEAD_MODEL_NAME) != HEAD_MODEL_NAME
        ):
            raise DubfewError(
                f"{out} holds windows of {clip.get('size')} px on the head {clip.get('head')}, "
                f"expected {window_size} px on {HEAD_MODEL_NAME}: choose another folder to write to"
            )


def _reconcile_stored_clips(
    out: Path, selected_clips: list[SourceClip], removed_files: set[str]
) -> list[str]:
    """Bring stored clips in line with the lists.

    Removes the given files and clips whose video has another size than it had, corrects the
    origins of the others, and returns the files of the clips that it removed.
    """
    clips = {clip.file: clip for clip in selected_clips}

    def updated_header(header: dict[str, Any]) -> dict[str, Any] | None:
        if header["file"] in removed_files:
            return None
        clip = clips.get(header["file"])
        # Clips of earlier versions lack the size of their video.
        if clip is None or "bytes" not in header:
            return header
        if clip.path.is_file() and clip.path.stat().st_size != header["bytes"]:
            return None
        return {**header, **clip.metadata()}

    return rewrite_shards(out, updated_header)


class _PrepareRun:
    """The work of one call: workers make parts, which are joined to shards in the clips' order."""

    def __init__(
        self, out: Path, clips: list[SourceClip], window_size: int, exclude_list: frozenset[str]
    ) -> None:
        self.out = out
        self.clips = clips
        # Of the exclude list only hashes concern workers; they are what remains to be compared.
        self.excluded_sha256s = tuple(
            sorted(name for name in exclude_list if re.fullmatch("[0-9a-f]{64}", name))
        )
        self.window_size = window_size
        self.written: list[str] = []
        self.failed: dict[str, str] = {}
        self.excluded: dict[str, str] = {}  # file: SHA-256

    def part_path(self, clip: SourceClip) -> Path:
        """Return the path of a clip's tar until it is in a shard."""
        return self.out.absolute() / PARTS_FOLDER / f"{clip.sample_key}.tar"

    def remove_stale_parts(self) -> None:
        """Remove the remains of a killed run, except finished clips that still belong here."""
        parts = {self.part_path(clip): clip for clip in self.clips}
        keep = {
            path
            for path, clip in parts.items()
            if path.exists() and self._is_complete_part(path, clip)
        }
        _clear_folder(self.out / PARTS_FOLDER, keep)
        # Temporary files of shards and of the manifest, see `dubfew.utils.files.atomic_path`.
        for left in self.out.glob(".*.dubfew-*"):
            left.unlink(missing_ok=True)

    def _is_complete_part(self, path: Path, clip: SourceClip) -> bool:
        """Return whether a part is whole, and made from this clip for this folder."""
        try:
            header = read_shard(path)[0].header
        except (ArtefactError, IndexError):
            return False
        # All facts of the clip have to be those of now: lists may have changed since.
        size = clip.path.stat().st_size if clip.path.is_file() else None
        return (
            header.get("size") == self.window_size
            and header.get("head") == HEAD_MODEL_NAME
            and header.get("sha256") not in self.excluded_sha256s
            and {**header, **self._header_metadata(clip, size)} == header
        )

    @staticmethod
    def _header_metadata(clip: SourceClip, num_bytes: int | None) -> dict[str, Any]:
        """Return the facts of a clip that its samples store; the size tells whether it changed."""
        return {**clip.metadata(), "bytes": num_bytes}

    def prepare_missing(
        self,
        run_jobs: ClipExecutor,
        num_workers: int | None,
        shard_bytes: int,
        progress: ProgressCallback,
    ) -> None:
        """Prepare every clip that has no part yet, and join all parts to shards.

        Args:
            run_jobs: executor of the jobs.
            num_workers: processes; None for the executor's default.
            shard_bytes: size at which a shard is closed.
            progress: called with the numbers of clips and frames that are done.
        """
        # Clips with a part and clips without a file have their outcome already.
        outcomes: dict[int, ClipOutcome] = {}
        jobs: dict[int, ClipJob] = {}
        for number, clip in enumerate(self.clips):
            if self.part_path(clip).exists():
                outcomes[number] = ClipOutcome()
            elif not clip.path.is_file():
                outcomes[number] = ClipOutcome(error=f"there is no file {clip.path}")
            else:
                jobs[number] = ClipJob(
                    video_path=str(clip.path.absolute()),
                    output_path=str(self.part_path(clip)),
                    sample_key=clip.sample_key,
                    window_size=self.window_size,
                    metadata=self._header_metadata(clip, clip.path.stat().st_size),
                    excluded=self.excluded_sha256s,
                )
        frames = 0

        def add_frames(num_new_frames: int) -> None:
            nonlocal frames
            frames += num_new_frames
            progress(Progress("prepare", len(outcomes), len(self.clips), {"frames": frames}))

        writer = ShardWriter(self.out, shard_bytes)
        # Executors number the jobs that they get; these are their clips.
        numbers = list(jobs)
        joined = self._append_ready_parts(writer, outcomes, 0)
        if jobs:
            # Closing the stream ends the workers, whatever the reason to stop.
            with closing(run_jobs(list(jobs.values()), num_workers, add_frames)) as results:
                for position, outcome in results:
                    outcomes[numbers[position]] = outcome
                    joined = self._append_ready_parts(writer, outcomes, joined)
                    add_frames(0)
        writer.close()
        _clear_folder(self.out / PARTS_FOLDER)

    def _append_ready_parts(
        self, writer: ShardWriter, outcomes: dict[int, ClipOutcome], num_joined: int
    ) -> int:
        """Join every clip whose predecessors are all done; return how many clips are joined."""
        while num_joined in outcomes:
            # Waiting for predecessors makes the shards independent of who is ready first.
            clip, outcome = self.clips[num_joined], outcomes[num_joined]
            if outcome.error:
                self.failed[clip.file] = outcome.error
            elif outcome.excluded_sha256:
                self.excluded[clip.file] = outcome.excluded_sha256
            else:
                writer.add(self.part_path(clip))
                self.written.append(clip.file)
            num_joined += 1
        return num_joined


def _clear_folder(folder: Path, paths_to_keep: Collection[Path] = ()) -> None:
    """Remove a folder's files and, unless some are kept, the folder."""
    if not folder.is_dir():
        return
    for path in folder.absolute().iterdir():
        if path not in paths_to_keep:
            path.unlink(missing_ok=True)
    if not paths_to_keep:
        os.rmdir(folder)


def write_manifest(
    out: Path, *, failed: dict[str, str], excluded: list[str]
) -> list[dict[str, Any]]:
    """Write ``manifest.json`` of prepared data.

    Args:
        out: folder of shards.
        failed: reasons of failures by file.
        excluded: files that the exclude list left out.

    Returns:
        Facts of each clip in the folder, see `list_stored_clips`.

    Raises:
        ArtefactError: A file in the folder is damaged.
    """
    clips = list_stored_clips(out)
    # Sorted by person, since people are asked about, not shards.
    people: dict[str, Any] = {}
    for clip in sorted(clips, key=lambda clip: (clip["identity"], clip["file"])):
        person = people.setdefault(clip["identity"], {"frames": 0, "seconds": 0.0, "clips": []})
        person["frames"] += clip["frames"]
        person["seconds"] = round(person["seconds"] + (clip.get("seconds") or 0.0), 3)
        person["clips"].append({name: clip.get(name) for name in _MANIFEST_CLIP_KEYS})
    manifest = {
        "format_version": MANIFEST_FORMAT_VERSION,
        "identities": people,
        "failed": failed,
        "excluded": excluded,
    }
    write_atomic(out / "manifest.json", json.dumps(manifest, indent=1).encode())
    return clips


# Facts of a clip that the manifest repeats from the shards.
_MANIFEST_CLIP_KEYS = (
    "file",
    "sha256",
    "frames",
    "seconds",
    "fps",
    "split",
    "source",
    "license",
    "weights_may_ship",
    "stored",
)


def _read_own_manifest(out: Path) -> dict[str, Any]:
    """Read the manifest of prepared data; empty if there is none or it is damaged."""
    try:
        found = json.loads((out / "manifest.json").read_bytes())
    except (OSError, ValueError):
        return {}  # the caller writes it anew from the shards
    return found if isinstance(found, dict) else {}
