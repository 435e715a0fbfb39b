"""Options of the preparation of training data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubfew.data.executors import CLIP_EXECUTORS
from dubfew.data.jobs import PreparedForm
from dubfew.data.layouts import LAYOUTS
from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
from dubfew.reconstruction.options import HEAD_NAMES
from dubfew.utils.options import document_fields, option, validate_options

# Values of ``by``: how clips that no list names get their identity, see `find_clips`.
IDENTITY_RULES = ("folder", "file")
# Size from which on a shard is closed. Shards of 256 MiB are read well from network storage, and
# rewriting one, to remove a person, takes seconds.
DEFAULT_SHARD_BYTES = 256 << 20
# Windows (px) below the smallest are too coarse for a mouth; the largest is a close-up in 4K.
MIN_WINDOW_SIZE_PX, MAX_WINDOW_SIZE_PX = 32, 1024


@document_fields
@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """Options of ``dubfew.prepare_footage`` and ``dubfew prior prepare``."""

    identities: Path | str | None = option(
        None,
        help="CSV that names the clips: file, identity and any of source, license, "
        "weights_may_ship, split. Default: FOLDER/manifest.json, else the folders' names.",
        metavar="CSV",
    )
    exclude: Path | str | None = option(
        None,
        help="List of people to leave out, and to remove from OUT: an identity, a file or a "
        "SHA-256 per line.",
        metavar="FILE",
    )
    split: str = option("train", help="Clips to take from a list that has splits.", metavar="NAME")
    by: str = option(
        "folder",
        help="Identity of a clip that no list names: its folder's name, or one of its own (file).",
        choices=IDENTITY_RULES,
        flags=("--identity-by",),
    )
    window_size: int = option(
        160,
        help="Edge of the mouth windows in px.",
        metavar="PX",
        minimum=MIN_WINDOW_SIZE_PX,
        maximum=MAX_WINDOW_SIZE_PX,
        unit="px",
        flags=("--size",),
    )
    layout: str | None = option(
        None,
        help="Crop of a painting renderer, prepared at 25 fps; default: mouth windows of blending "
        "renderers.",
        choices=LAYOUTS,
    )
    head: str = option("lite", help=f"Head model to track: {HEAD_NAMES}.", metavar="NAME")
    method: str = option(
        "landmarks",
        help="What the head is fitted to: landmarks, or also the pixels (photometric), which takes "
        "longer.",
        choices=TRACKING_METHODS,
    )
    jobs: int | None = option(
        None,
        help="Processes; default: one per core, with Ray as many as the cluster takes.",
        metavar="N",
        minimum=1,
        flags=("--jobs", "-j"),
    )
    engine: str = option(
        "local",
        help="Machines that work: this one, or a Ray cluster (pip install 'dubfew[ray]').",
        choices=CLIP_EXECUTORS,
    )
    strict: bool = option(False, help="Fail when any clip cannot be prepared.")
    shard_bytes: int = option(
        DEFAULT_SHARD_BYTES,
        help="Size from which on a shard is closed.",
        minimum=1,
        unit="bytes",
        on_command_line=False,
    )

    def __post_init__(self) -> None:
        validate_options(self)

    @property
    def form(self) -> PreparedForm:
        """What is prepared of every clip."""
        return PreparedForm(self.head, self.method, self.layout or "")
