"""Timelines by OpenTimelineIO: EDL (CMX 3600), FCP XML and OTIO, in and out."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

from dubfew.conform.timecode import drops_numbers, exact_rate, parse_timecode
from dubfew.errors import DubfewError
from dubfew.media import probe
from dubfew.media.facts import read_facts
from dubfew.media.image_sequences import ImageSequence
from dubfew.utils.files import check_input_file, write_atomic
from dubfew.utils.import_utils import import_optional

# Formats by the ending of their files, as OpenTimelineIO names them.
TIMELINE_FORMATS = {".otio": "otio_json", ".edl": "cmx_3600", ".xml": "fcp_xml"}
# Files that may be the media of a clip whose name has no ending.
_VIDEO_SUFFIXES = (".mov", ".mp4", ".mxf", ".mkv", ".m4v", ".avi", ".webm", ".ts", ".mpg")
# Most files that are looked at in a folder of media.
_MAX_MEDIA_FILES = 200_000
# Rates that are tried to read the names in an EDL before its rate is known.
_TRIAL_RATES = (Fraction(30000, 1001), Fraction(60000, 1001), Fraction(25), Fraction(60))
# Key of what dubfew writes into the metadata of a clip.
METADATA_KEY = "dubfew"
# Keys under which a clip keeps the references to its original, and to the sound of new pictures.
ORIGINAL_KEY, SOUND_KEY = "original", "sound"


@dataclass(frozen=True)
class ShotPictures:
    """A sequence of pictures that a clip refers to.

    Attributes:
        pattern: path with a place for the number, as `find_sequence` takes it.
        rate: its exact frame rate.
    """

    pattern: Path
    rate: Fraction


@dataclass(frozen=True)
class Shot:
    """A clip on a picture track.

    Attributes:
        id: name of the shot in tables, such as "003-shot_c".
        number: number among the clips of its track, from 1.
        name: name of the clip.
        start: begin in the program, s from its first frame.
        seconds: length, s.
        source_start: begin on the clock of its media, s.
        before: time before the shot that a transition shows, s.
        after: time after it that a transition shows, s.
        media: file of the media, or None.
        media_start: time of the media's first frame on that clock, s; None goes by the file's own
            timecode.
        pictures: its media where they are a sequence of pictures, or None.
        problem: why it cannot be rendered, or "".
        clip: the clip of OpenTimelineIO.
    """

    id: str
    number: int
    name: str
    start: Fraction
    seconds: Fraction
    source_start: Fraction
    before: Fraction
    after: Fraction
    media: Path | None
    media_start: Fraction | None
    pictures: ShotPictures | None
    problem: str
    clip: Any

    @property
    def end(self) -> Fraction:
        """Return the end in the program, s."""
        return self.start + self.seconds


@dataclass(frozen=True)
class Program:
    """A timeline that was read.

    Attributes:
        path: file of the timeline.
        name: its name.
        rate: exact frame rate.
        first_frame: timecode of its first frame, as a number of frames.
        drop: whether its timecodes drop numbers; None if the format does not say.
        shots: clips of the picture tracks.
        timeline: the timeline of OpenTimelineIO.
    """

    path: Path
    name: str
    rate: Fraction
    first_frame: int
    drop: bool | None
    shots: tuple[Shot, ...]
    timeline: Any

    @property
    def seconds(self) -> Fraction:
        """Return the length, s."""
        return max((shot.end for shot in self.shots), default=Fraction(0))


def read_program(path: Path, *, rate: float | None = None, media: Path | None = None) -> Program:
    """Read a timeline, and find its media.

    Args:
        path: .edl, .xml or .otio.
        rate: frame rate of an EDL; None is that of its media.
        media: folder of the media; None is that of the timeline.

    Raises:
        MediaError: The file does not exist.
        DubfewError: The file is no timeline, it has no picture track, or the rate of an EDL is not
            known.
        MissingDependencyError: OpenTimelineIO is not installed.
    """
    otio = _import_otio()
    path = path.absolute()
    check_input_file(path)
    form = TIMELINE_FORMATS.get(path.suffix.lower())
    if form is None:
        raise DubfewError(
            f"{path.name} is no timeline: end its name in {', '.join(TIMELINE_FORMATS)}"
        )
    folder = _MediaFolder(media or path.parent, path.parent)
    drop: bool | None = None
    text = "" if form == "otio_json" else path.read_text("utf-8", errors="replace")
    if form == "cmx_3600":
        # A semicolon before the frames marks drop-frame timecodes; some programs only write the
        # head line.
        drop = bool(re.search(r"\d;\d\d\b|FCM:\s*DROP", text))
        edl_rate = (
            exact_rate(rate) if rate is not None else _find_edl_rate(otio, path, drop, folder)
        )
        if drop and not drops_numbers(edl_rate):
            raise DubfewError(
                f"{path.name} has drop-frame timecodes, and {float(edl_rate):.5g} frames/s have "
                "none: give --rate 29.97 or 59.94"
            )
        timeline = _read(otio, path, form, rate=float(edl_rate))
        _move_record_times(timeline)
    else:
        timeline = _read(otio, path, form)
        if form == "fcp_xml" and "<displayformat>" in text:
            drop = "<displayformat>DF" in text
    # Empty tracks are left by editors and mean nothing.
    tracks = [each for each in timeline.video_tracks() if len(each)]
    if not tracks:
        raise DubfewError(f"{path} has no picture track: export the sequence with its picture")
    shots = tuple(
        shot
        for number, track in enumerate(tracks)
        for shot in _list_shots(otio, track, number, folder)
    )
    frame_rate = _find_rate(timeline, shots)
    start = timeline.global_start_time
    first = 0 if start is None else round(_seconds(start) * frame_rate)
    return Program(path, timeline.name or path.stem, frame_rate, first, drop, shots, timeline)


def read_timeline(path: Path) -> Any:
    """Read a timeline of OpenTimelineIO's own format as it is.

    Args:
        path: .otio.

    Raises:
        DubfewError: The file is no timeline.
        MissingDependencyError: OpenTimelineIO is not installed.
    """
    return _read(_import_otio(), path, TIMELINE_FORMATS[".otio"])


def write_program(timeline: Any, path: Path, rate: Fraction, *, drop: bool | None = None) -> None:
    """Write a timeline, atomically.

    Args:
        timeline: timeline of OpenTimelineIO.
        path: .edl, .xml or .otio.
        rate: exact frame rate, for EDLs.
        drop: whether timecodes of an EDL drop numbers; None leaves it to the rate.

    Raises:
        DubfewError: The format cannot hold the timeline.
    """
    otio = _import_otio()
    form = TIMELINE_FORMATS[path.suffix.lower()]
    copy = timeline.deepcopy()
    given: dict[str, Any] = {}
    if form == "fcp_xml" and drop and copy.global_start_time is not None:
        # The writer takes it from what the reader would have noted.
        copy.metadata.setdefault("fcp_xml", {}).setdefault("timecode", {})["displayformat"] = "DF"
    if form == "cmx_3600":
        given["rate"] = float(rate)
        _make_edl_timeline(otio, copy)
    try:
        text = otio.adapters.write_to_string(copy, form, **given)
    except (otio.exceptions.OTIOError, ValueError, TypeError, AttributeError) as error:
        found = " ".join(str(error).split())[:200]
        raise DubfewError(f"{path.name} cannot be written as {path.suffix}: {found}") from error
    if form == "cmx_3600" and drop is not None and drops_numbers(rate):
        head, _, events = text.partition("\n")
        text = f"{head}\nFCM: {'' if drop else 'NON-'}DROP FRAME\n{events}"
    write_atomic(path, text.encode())


def reference_media(
    clip: Any,
    path: Path,
    start: Fraction,
    frames: int,
    rate: Fraction,
    facts: Mapping[str, Any],
    pictures: ImageSequence | None = None,
) -> None:
    """Point a clip to a new file, and keep its original beside it.

    Args:
        clip: clip of OpenTimelineIO; its range stays as it is.
        path: the new file, which has the sound of new pictures, too.
        start: time of its first frame on the clock of the original, s.
        frames: its number of frames.
        rate: its exact frame rate.
        facts: what to note about it, plain JSON.
        pictures: new pictures of a sequence, which the clip then shows; the file is its sound.
    """
    otio = _import_otio()
    references = dict(clip.media_references())
    references[ORIGINAL_KEY] = clip.media_reference.deepcopy()
    begin = otio.opentime.RationalTime(round(start * rate), float(rate))
    span = otio.opentime.TimeRange(begin, otio.opentime.RationalTime(frames, float(rate)))
    whole = otio.schema.ExternalReference(path.absolute().as_uri(), span)
    whole.name = path.name
    references[clip.DEFAULT_MEDIA_KEY] = whole
    if pictures is not None:
        references[SOUND_KEY] = whole
        name = pictures.files[0].name
        number = re.search(r"\d+(?=\D*$)", name)
        assert number is not None  # as the file was named by its number
        references[clip.DEFAULT_MEDIA_KEY] = otio.schema.ImageSequenceReference(
            target_url_base=f"{pictures.files[0].absolute().parent.as_uri()}/",
            name_prefix=name[: number.start()],
            name_suffix=name[number.end() :],
            start_frame=pictures.numbers[0],
            frame_step=1,
            rate=float(rate),
            frame_zero_padding=len(number[0]),
            available_range=span,
        )
    clip.set_media_references(references, clip.DEFAULT_MEDIA_KEY)
    clip.metadata[METADATA_KEY] = dict(facts)


def add_sound_track(program: Program, shots: Sequence[Shot]) -> None:
    """Add a sound track with the sound of the new shots at their places.

    Args:
        program: the timeline, which is changed.
        shots: shots whose clips refer to new files. Where two overlap, the later one is left out.
    """
    otio = _import_otio()
    rate = float(program.rate)
    track = otio.schema.Track("dub", kind=otio.schema.TrackKind.Audio)
    end = 0
    for shot in sorted(shots, key=lambda each: each.start):
        start = round(shot.start * program.rate)
        if start < end:
            continue
        if start > end:
            gap = otio.opentime.RationalTime(start - end, rate)
            track.append(otio.schema.Gap(duration=gap))
        clip = shot.clip.deepcopy()
        if SOUND_KEY in clip.media_references():
            clip.active_media_reference_key = SOUND_KEY
        clip.markers.clear()
        clip.effects.clear()
        track.append(clip)
        end = start + round(shot.seconds * program.rate)
    if len(track):
        program.timeline.tracks.append(track)


def relink_missing(shot: Shot) -> None:
    """Point a clip whose reference leads nowhere to the file that was found for it.

    Args:
        shot: the shot; one without media, or with a reference that is sound, stays as it is.
    """
    otio = _import_otio()
    reference = shot.clip.media_reference
    is_generated = isinstance(reference, otio.schema.GeneratorReference)
    known = _url_path(getattr(reference, "target_url", "") or "", Path())
    if shot.media is None or is_generated or (known is not None and known == shot.media):
        return
    info = probe(shot.media)
    start = shot.media_start if shot.media_start is not None else media_start(shot.media, info.fps)
    frames = info.frames or round(info.duration * float(info.fps))
    rate = float(info.fps)
    shot.clip.media_reference = otio.schema.ExternalReference(
        shot.media.as_uri(),
        otio.opentime.TimeRange(
            otio.opentime.RationalTime(round(start * info.fps), rate),
            otio.opentime.RationalTime(frames, rate),
        ),
    )


def media_start(path: Path, rate: Fraction) -> Fraction:
    """Read the time of a file's first frame from its timecode, s; 0 without one.

    Args:
        path: video file.
        rate: rate by which the timecode counts frames.
    """
    text = read_facts(path).timecode
    if not text:
        return Fraction(0)
    try:
        return parse_timecode(text, rate) / rate
    except DubfewError:
        return Fraction(0)  # a tag that is no timecode of this rate


def _import_otio() -> Any:
    """Import OpenTimelineIO with the readers of EDL and FCP XML."""
    otio = import_optional("opentimelineio")
    for module in ("otio_cmx3600_adapter", "otio_fcp_adapter"):
        import_optional(module)
    return otio


def _read(otio: Any, path: Path, form: str, **given: Any) -> Any:
    """Read a file as a timeline."""
    try:
        found = otio.adapters.read_from_file(str(path), form, **given)
    # The adapters are written for well-formed files and raise many kinds of errors for others.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DubfewError(f"{path} cannot be read as a timeline: {reason}") from error
    if isinstance(found, otio.schema.SerializableCollection):
        timelines = [each for each in found if isinstance(each, otio.schema.Timeline)]
        if len(timelines) != 1:
            raise DubfewError(f"{path} has {len(timelines)} timelines: export one alone")
        (found,) = timelines
    if not isinstance(found, otio.schema.Timeline):
        raise DubfewError(f"{path} is no timeline: export a sequence")
    return found


def _find_edl_rate(otio: Any, path: Path, drop: bool, folder: _MediaFolder) -> Fraction:
    """Find the rate of an EDL from its media."""
    rates: set[Fraction] = set()
    for trial in _TRIAL_RATES:
        if drop and not drops_numbers(trial):
            continue
        try:
            timeline = _read(otio, path, "cmx_3600", rate=float(trial))
        except DubfewError:
            continue
        clips = [each for each in timeline.find_clips() if _is_picture(otio, each)]
        found = [folder.find(each)[0] for each in clips]
        rates = {probe(each).fps for each in {*found} if each is not None}
        break
    if len(rates) == 1:
        return exact_rate(rates.pop())
    which = "none of its media is found" if not rates else "its media have several"
    raise DubfewError(f"the frame rate of {path.name} is not known, {which}: give --rate")


def _is_picture(otio: Any, clip: Any) -> bool:
    track = clip.parent()
    return isinstance(track, otio.schema.Track) and track.kind == otio.schema.TrackKind.Video


def _move_record_times(timeline: Any) -> None:
    """Make the record time of an EDL the start of the timeline; its reader puts it on the track."""
    # The reader writes the record time there as a negative start.
    starts = [-each.source_range.start_time for each in timeline.tracks if each.source_range]
    if starts and timeline.global_start_time is None:
        timeline.global_start_time = min(starts)
    for track in timeline.tracks:
        track.source_range = None


def _make_edl_timeline(otio: Any, timeline: Any) -> None:
    """Keep what an EDL holds: one picture track without sound, its record time on the track."""
    kept = [each for each in timeline.video_tracks() if len(each)][:1]
    for index in reversed(range(len(timeline.tracks))):
        if all(timeline.tracks[index] is not each for each in kept):
            del timeline.tracks[index]
    for track in timeline.tracks:
        for clip in track.find_clips():
            clip.source_range = clip.trimmed_range()
        if timeline.global_start_time is not None:
            zero = otio.opentime.RationalTime(0, timeline.global_start_time.rate)
            track.source_range = otio.opentime.TimeRange(
                zero - timeline.global_start_time, track.available_range().duration
            )


def _list_shots(otio: Any, track: Any, number: int, folder: _MediaFolder) -> Iterator[Shot]:
    """List the clips of a track with their times."""
    count = 0
    # Clips on upper tracks may have the same number as those below.
    prefix = f"v{number + 1}-" if number else ""
    for index, item in enumerate(track):
        if not isinstance(item, otio.schema.Clip) or not item.enabled:
            continue
        count += 1
        placed, source = track.range_of_child_at_index(index), item.trimmed_range()
        neighbors = [track[k] if 0 <= k < len(track) else None for k in (index - 1, index + 1)]
        before, after = (
            _seconds(getattr(each, offset)) if isinstance(each, otio.schema.Transition) else 0
            for each, offset in zip(neighbors, ("in_offset", "out_offset"), strict=True)
        )
        media, problem = folder.find(item)
        # The times of frames in its file are not those of the timeline then.
        if any(isinstance(each, otio.schema.TimeEffect) for each in item.effects):
            problem = "it runs at another speed: render its media before the change of speed"
        reference = item.media_reference
        pictures = None
        if isinstance(reference, otio.schema.ImageSequenceReference):
            pictures, missing = folder.find_pictures(reference)
            # What was found by the clip's name is another file.
            media, problem = None, missing if media is None or not problem else problem
        known = getattr(reference, "available_range", None)
        stem = re.sub(r"[^\w.@+-]+", "_", Path(item.name or "shot").stem)[:60]
        yield Shot(
            id=f"{prefix}{count:03d}-{stem}",
            number=count,
            name=item.name or "",
            start=_seconds(placed.start_time),
            seconds=_seconds(placed.duration),
            source_start=_seconds(source.start_time),
            before=Fraction(before),
            after=Fraction(after),
            media=media,
            media_start=None
            if known is None or known.duration.value <= 0
            else _seconds(known.start_time),
            pictures=pictures,
            problem=problem,
            clip=item,
        )


def _find_rate(timeline: Any, shots: tuple[Shot, ...]) -> Fraction:
    """Find the frame rate of a timeline: that of its start, or of most of its clips."""
    if timeline.global_start_time is not None:
        return exact_rate(timeline.global_start_time.rate)
    rates = [exact_rate(shot.clip.trimmed_range().duration.rate) for shot in shots]
    return max(rates, key=rates.count) if rates else Fraction(25)


def _seconds(time: Any) -> Fraction:
    """Return a time of OpenTimelineIO exactly, s."""
    return Fraction(time.value).limit_denominator(100_000) / exact_rate(time.rate)


def _url_path(url: str, folder: Path) -> Path | None:
    """Return the file that a URL or a path names; None for other schemes."""
    if not url:
        return None
    parsed = urlparse(url)
    if parsed.scheme == "file":
        return Path(url2pathname(unquote(parsed.path)))
    if len(parsed.scheme) > 1:  # one letter is a drive of Windows
        return None
    return folder / unquote(url)


class _MediaFolder:
    """Finds the files of clips, by their reference or by their names."""

    def __init__(self, folder: Path, timeline_folder: Path) -> None:
        self._folder, self._timeline_folder = folder, timeline_folder
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, clip: Any) -> tuple[Path | None, str]:
        """Find the file of a clip, or say why it is not found."""
        url = getattr(clip.media_reference, "target_url", "") or ""
        named = _url_path(url, self._timeline_folder)
        if named is not None and named.is_file():
            return named.absolute(), ""
        details = clip.metadata.get("cmx_3600", {})
        comments = [str(each) for each in details.get("comments", [])]
        files = [each.partition(":")[2].strip() for each in comments if "FILE" in each.upper()]
        words = [url, *files, clip.name or "", str(details.get("reel", ""))]
        for word in words:
            # Paths of another system may have its separators.
            name = re.split(r"[\\/]", unquote(word))[-1].lower()
            found = self._index().get(name, []) if name else []
            if len(found) > 1:
                return None, f"{len(found)} files have the name {name}: give a narrower --media"
            if found:
                return found[0], ""
        return None, f"no file is found for it in {self._folder}: give --media"

    def find_pictures(self, reference: Any) -> tuple[ShotPictures | None, str]:
        """Find the pictures of a sequence, or say why they are not found."""
        digits = f"0{reference.frame_zero_padding}" if reference.frame_zero_padding else ""
        name = f"{reference.name_prefix}%{digits}d{reference.name_suffix}"
        if reference.frame_step != 1:
            return None, f"its pictures {name} are every {reference.frame_step}th: give all"
        base = _url_path(reference.target_url_base or ".", self._timeline_folder)
        like = f"{glob.escape(reference.name_prefix)}*{glob.escape(reference.name_suffix)}"
        folders = [base] if base is not None and any(base.glob(like)) else []
        folders = folders or sorted({path.parent for path in self._folder.rglob(like)})
        if len(folders) != 1:
            found = "no pictures" if not folders else f"pictures in {len(folders)} folders"
            return None, f"{found} are found as {name} in {self._folder}: give --media"
        return ShotPictures(folders[0].absolute() / name, exact_rate(reference.rate)), ""

    def _index(self) -> dict[str, list[Path]]:
        """Index the folder by names, and videos by names without their ending too."""
        if self._by_name is None:
            self._by_name = {}
            for count, path in enumerate(sorted(self._folder.rglob("*"))):
                if count >= _MAX_MEDIA_FILES:
                    break
                if path.is_file() and path.suffix.lower() in _VIDEO_SUFFIXES:
                    for name in {path.name.lower(), path.stem.lower()}:
                        self._by_name.setdefault(name, []).append(path.absolute())
        return self._by_name
