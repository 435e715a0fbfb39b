"""Prepare a folder of videos as shards of footage, which training reads.

The folder of shards is brought in line with the lists of clips and of excluded people; missing
clips are prepared by `dubfew.data.prepare_run`; a manifest tells what is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
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
from dubfew.data.clip_shards import LAG_KEY
from dubfew.data.executors import CLIP_EXECUTORS
from dubfew.data.jobs import PreparedForm
from dubfew.data.manifest import read_manifest, write_manifest
from dubfew.data.options import PrepareOptions
from dubfew.data.prepare_run import PARTS_FOLDER, PrepareRun, clear_folder
from dubfew.data.shards import list_stored_clips, rewrite_shards
from dubfew.errors import DubfewError
from dubfew.progress import ProgressCallback, no_progress
from dubfew.reconstruction.heads.head_model import load_head_model
from dubfew.utils.files import check_writable_folder
from dubfew.utils.options import document_options, merge_options


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
    run_jobs = CLIP_EXECUTORS.load(options.engine)
    clips, refused = _find_split(folder, options)
    # Leave out everybody whose name or file is listed. Hashes are known only when a worker reads a
    # video: it compares them.
    names = frozenset() if options.exclude is None else read_exclude_list(Path(options.exclude))
    included = [clip for clip in clips if not is_excluded(clip.metadata(), names)]
    left_out = {clip.file for clip in clips} - {clip.file for clip in included}
    unmatched = names - {name for clip in clips for name in exclusion_keys(clip.metadata())}
    load_head_model(options.head)  # a head model that is not there is an error before the work
    with _locked_folder(out):
        # First remove from the folder whatever the lists no longer allow.
        before = list_stored_clips(out)
        _check_stored_form(out, before, options.window_size, options.form)
        unmatched -= {name for clip in before for name in exclusion_keys(clip)}
        left_out |= {clip["file"] for clip in before if is_excluded(clip, names)}
        gone = {clip.file for clip in refused} | left_out
        removed = _reconcile_stored_clips(
            out, [clip for clip in included if clip.file not in gone], gone
        )
        # Then prepare what is missing.
        done = {clip["file"] for clip in list_stored_clips(out)}
        missing = [clip for clip in included if clip.file not in done]
        run = PrepareRun(out, missing, options.window_size, names, options.form)
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


def _find_split(folder: Path, options: PrepareOptions) -> tuple[list[SourceClip], list[SourceClip]]:
    """Find the clips of the split to prepare, and the clips that do not belong to it.

    Raises:
        DubfewError: The split has no clips, or a list has an error.
    """
    identities = None if options.identities is None else Path(options.identities)
    clips, refused = select_split(
        find_clips(folder, identities=identities, by=options.by), options.split
    )
    if not clips:
        raise DubfewError(
            f"no clip to prepare in {folder}: put videos there, or check its manifest, the CSV of "
            "identities and --split"
        )
    return clips, refused


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
        before = read_manifest(out)
        removed = rewrite_shards(out, lambda header: None if is_excluded(header, names) else header)
        # A killed run may have left parts of the same people.
        clear_folder(out / PARTS_FOLDER)
        write_manifest(
            out,
            failed=before.get("failed", {}),
            excluded=sorted({*before.get("excluded", []), *removed}),
        )
    return removed


def store_clip_lags(out: Path, lags: Mapping[str, float]) -> None:
    """Store how late the pictures of prepared clips are, by which trainings move their sound.

    Args:
        out: folder that `prepare_footage` filled.
        lags: lag of each file's picture against its sound, s. A lag that was stored before is
            forgotten where a file has none now.

    Raises:
        ArtefactError: A file in the folder is damaged.
        DubfewError: Another run is writing to the folder.
    """

    def update_header(header: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in header.items() if key != LAG_KEY}
        lag = lags.get(header["file"], 0.0)
        return {**kept, LAG_KEY: lag} if lag else kept

    with _locked_folder(out):
        rewrite_shards(out, update_header)


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


def _check_stored_form(
    out: Path, clips: Iterable[dict[str, Any]], window_size: int, form: PreparedForm
) -> None:
    """Refuse to mix sizes, layouts, head models or tracking methods in one folder.

    Raises:
        DubfewError: A clip in the folder has another form.
    """
    # Clips of earlier versions may lack the facts; then they are as they always were.
    for clip in clips:
        size = clip.get("size", window_size)
        if form.matches(clip) and (form.layout or size == window_size):
            continue
        head, layout = clip.get("head", "lite"), clip.get("layout", "")
        found = f"crops of {layout}" if layout else f"windows of {size} px"
        expected = f"crops of {form.layout}" if form.layout else f"{window_size} px"
        methods = ""
        if clip.get("method", "landmarks") != form.method:
            methods = f", fitted by {clip.get('method', 'landmarks')} instead of {form.method}"
        raise DubfewError(
            f"{out} holds {found} on the head {head}, expected {expected} on {form.head}{methods}: "
            "choose another folder to write to"
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
