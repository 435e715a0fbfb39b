"""Crops of painting renderers in shards: the one writer and reader of them.

A sample of a shard has ``KEY.clip.safetensors`` in the place of ``KEY.footage.safetensors``: the
pictures as JPEG, meshes, masks and landmarks.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from dubfew.data.audio_io import deserialize_audio
from dubfew.data.clip_footage import ClipFootage, JpegRows, encode_jpegs, join_sounds
from dubfew.data.mapped_arrays import ConcatenatedArray
from dubfew.data.shards import find_stored_clips
from dubfew.errors import ArtefactError, DubfewError, ShapeError
from dubfew.utils.format_version import check_format_version
from dubfew.utils.safetensors_io import TENSOR_READ_ERRORS

CLIP_FORMAT_VERSION = 1
# Key of the header in a file's metadata.
CLIP_METADATA_KEY = "dubfew.clip"
# Name of the files within samples.
CLIP_MEMBER = "clip.safetensors"
# Key of a clip's facts: how late its picture is against its sound, s; of ``dubfew prior align``.
LAG_KEY = "lag_seconds"
# Arrays that stay on the disk. The others are small, or are used as a whole.
_MAPPED = ("vertices", "masks")


def serialize_clip(clip: ClipFootage) -> bytes:
    """Write crops as safetensors, the same bytes for the same crops; without the sound."""
    jpegs, ends = encode_jpegs(clip.images)
    arrays: dict[str, Any] = {
        "jpegs": jpegs,
        "ends": ends,
        **{
            name: np.ascontiguousarray(getattr(clip, name))
            for name in ("vertices", "masks", "landmarks", "frames")
        },
    }
    header = {"format_version": CLIP_FORMAT_VERSION, "layout": clip.layout, "head": clip.head}
    return save(arrays, metadata={CLIP_METADATA_KEY: json.dumps(header)})


def deserialize_clip(data: bytes, name: str) -> ClipFootage:
    """Read what `serialize_clip` gave, into memory.

    Args:
        data: the bytes.
        name: what an error calls them.

    Raises:
        ArtefactError: The bytes are no crops, are damaged, or a newer dubfew wrote them.
    """
    try:
        arrays = load(data)
        start = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        header = _check_header(start["__metadata__"], name)
        return ClipFootage(
            layout=header["layout"],
            head=header["head"],
            images=JpegRows([(arrays["jpegs"], arrays["ends"])]),
            samples=np.zeros(0, np.float32),
            sound_start=0.0,
            **{key: arrays[key] for key in ("vertices", "masks", "landmarks", "frames")},
        )
    except (ShapeError, *TENSOR_READ_ERRORS) as error:
        raise ArtefactError(f"{name} holds no crops, or is damaged ({error})") from error


def _check_header(metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    """Read the header of a file; checks its version."""
    header = json.loads(metadata[CLIP_METADATA_KEY])
    check_format_version(header["format_version"], CLIP_FORMAT_VERSION, f"the crops of {name}")
    return header


def open_layout_clips(
    folder: Path, layout: str, excluded: Collection[str] = ()
) -> list[tuple[ClipFootage, dict[str, Any]]]:
    """Open the crops of a folder in a fixed order, their pictures left on the disk.

    Args:
        folder: folder that ``dubfew prior prepare --layout`` filled.
        layout: layout that a renderer takes. Those of one size of crop, such as ``dinet256`` and
            a smaller ``dinet64``, are prepared apart.
        excluded: identities, files or SHA-256 sums of people to leave out.

    Returns:
        Crops and facts of each clip.

    Raises:
        ArtefactError: A file in the folder is damaged.
        DubfewError: The folder has no clips, other ones, or all of them are excluded.
    """
    clips = []
    for stored in find_stored_clips(folder, excluded):
        # Shards of blending renderers have no layout: the same folder may hold either.
        found = stored.header.get("layout")
        file = stored.header["file"]
        if found != layout:
            held = f"crops of the layout {found!r}" if found else "mouth windows"
            raise DubfewError(
                f"{folder} holds {held} of {file}, the renderer takes crops of {layout!r}: "
                f"prepare with --layout {layout}"
            )
        try:
            parts = [(segment["jpegs"], segment["ends"].array) for segment in stored.segments]
            arrays: dict[str, Any] = {}
            for name in ("vertices", "masks", "landmarks", "frames"):
                joined = ConcatenatedArray([segment[name] for segment in stored.segments])
                arrays[name] = joined if name in _MAPPED else joined[:]
            sounds = [
                deserialize_audio(data, f"{stored.path} ({file})") for data in stored.read_sounds()
            ]
            samples, start = join_sounds([(s.start_seconds, s.samples) for s in sounds])
            clip = ClipFootage(
                layout=layout,
                head=stored.header["head"],
                images=JpegRows(parts),
                samples=samples,
                # Sound is moved to where the picture is.
                sound_start=start + float(stored.header.get(LAG_KEY, 0.0)),
                **arrays,
            )
        # A missing array and one of another length have the same cause: a preparation that was cut
        # short.
        except (KeyError, ShapeError) as error:
            raise ArtefactError(
                f"{stored.path} holds no whole crops of {file} ({error}): prepare them again"
            ) from error
        clips.append((clip, stored.header))
    return clips
