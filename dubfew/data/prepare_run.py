"""The work of one preparation: clips become parts, parts are joined to shards.

A part is the tar of one finished clip. It lies in a hidden folder of the output until its shard is
written, so that a killed run loses no finished clip.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

from dubfew.data.clip_index import SourceClip
from dubfew.data.jobs import ClipJob, ClipOutcome, JobExecutor, PreparedForm
from dubfew.data.shards import ShardWriter, read_shard
from dubfew.data.workers import ClipWorker
from dubfew.errors import ArtefactError
from dubfew.progress import Progress, ProgressCallback

# Folder within the output for finished clips that are not in a shard yet.
PARTS_FOLDER = ".parts"


class PrepareRun:
    """Prepares clips: executors make parts, which are joined to shards in the clips' order.

    Attributes:
        written: files of the clips that got into shards, in order.
        failed: reason of each failure by file.
        excluded: SHA-256 of each excluded clip by file.
    """

    def __init__(
        self,
        out: Path,
        clips: list[SourceClip],
        window_size: int,
        exclude_list: frozenset[str],
        form: PreparedForm | None = None,
    ) -> None:
        """Describe the work; nothing is prepared yet.

        Args:
            out: folder of the shards, locked by the caller.
            clips: clips to prepare.
            window_size: edge of the windows, px.
            exclude_list: names from `dubfew.data.clip_index.read_exclude_list`.
            form: head model, tracking method and layout; mouth windows of ``lite`` by default.
        """
        self.out = out
        self.clips = clips
        # Of the exclude list only hashes concern workers; they are what remains to be compared.
        self.excluded_sha256s = tuple(
            sorted(name for name in exclude_list if re.fullmatch("[0-9a-f]{64}", name))
        )
        self.window_size = window_size
        self.form = form or PreparedForm()
        self.written: list[str] = []
        self.failed: dict[str, str] = {}
        self.excluded: dict[str, str] = {}

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
        clear_folder(self.out / PARTS_FOLDER, keep)
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
            (bool(self.form.layout) or header.get("size") == self.window_size)
            and self.form.matches(header)
            and header.get("sha256") not in self.excluded_sha256s
            and {**header, **self._header_metadata(clip, size)} == header
        )

    @staticmethod
    def _header_metadata(clip: SourceClip, num_bytes: int | None) -> dict[str, Any]:
        """Return the facts of a clip that its samples store; the size tells whether it changed."""
        return {**clip.metadata(), "bytes": num_bytes}

    def prepare_missing(
        self,
        run_jobs: JobExecutor,
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
                    form=self.form,
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
            with closing(
                run_jobs(list(jobs.values()), num_workers, add_frames, make_worker=ClipWorker)
            ) as results:
                for position, outcome in results:
                    outcomes[numbers[position]] = outcome
                    joined = self._append_ready_parts(writer, outcomes, joined)
                    add_frames(0)
        writer.close()
        clear_folder(self.out / PARTS_FOLDER)

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


def clear_folder(folder: Path, paths_to_keep: Collection[Path] = ()) -> None:
    """Remove a folder's files and, unless some are kept, the folder.

    Args:
        folder: a folder of files; it need not exist.
        paths_to_keep: absolute paths of files that stay.
    """
    if not folder.is_dir():
        return
    for path in folder.absolute().iterdir():
        if path not in paths_to_keep:
            path.unlink(missing_ok=True)
    if not paths_to_keep:
        os.rmdir(folder)
