"""Options of ``adapt``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.adapt.methods import METHODS
from dubfew.errors import ArtefactError, DubfewError
from dubfew.reconstruction.fitting.methods import TRACKING_METHODS
from dubfew.reconstruction.options import HEAD_NAMES, face_option, segmenter_option
from dubfew.utils.options import document_fields, option, validate_options

# Length (s) of the part of the footage that is used. Longer parts cost time and memory, and
# references and texture have by then seen most of what the mouth does.
DEFAULT_FOOTAGE_SECONDS = 10.0
# Length of footage that is scanned, s. Longer footage would make the scan take more time than the
# training, and a quarter of an hour has good parts.
MAX_SCAN_SECONDS = 15 * 60.0
# Training steps. More did not improve held-out frames (docs/findings.md).
DEFAULT_TRAINING_STEPS = 150
# Training steps of priors that paint. Dubbing for Everyone says one to two hours on an L4; its
# table 3 reaches 30 dB within 1600 steps.
DEFAULT_PAINTING_STEPS = 3000
# Whether training frames of other people are mixed in. With the set that ships, training took
# longer and held-out frames lost 0.1 dB (docs/findings.md).
REPLAY_BY_DEFAULT = False
# Starts of an actor's texture.
TEXTURE_STARTS = ("random", "footage")
# Largest seed: what fits into a signed 64-bit number, as torch stores it.
MAX_SEED = 2**63 - 1


def device_option() -> Any:
    """Make the option that chooses between CPU and GPU."""
    return option("auto", help="Device of the network: auto, cpu, cuda or cuda:N.", metavar="D")


# Log curves that a user may state for footage, see `dubfew.media.log_curves.LOG_CURVES`.
INPUT_TRANSFORMS = ("slog3", "logc3", "logc4", "vlog", "applelog")


def input_transform_option() -> Any:
    """Make the option that states the log curve of footage."""
    return option(
        None,
        help="Log curve and gamut of the footage, which files do not tag: "
        f"{', '.join(INPUT_TRANSFORMS)}, or CONFIG#SPACE, a color space of an OpenColorIO "
        "configuration (a file, or ocio://studio-config-latest; none before # for that of the "
        "environment variable OCIO).",
        metavar="CURVE",
        check=check_input_transform,
    )


def check_input_transform(name: str) -> None:
    """Check the name of a log curve or of a color space, see `input_transform_option`.

    Raises:
        MissingDependencyError: It is a color space, and OpenColorIO is not installed.
        DubfewError: There is no such curve or space.
    """
    if name in INPUT_TRANSFORMS:
        return
    if "#" not in name:
        raise DubfewError(
            f"no input_transform {name[:40]!a}: there are {', '.join(INPUT_TRANSFORMS)}, and "
            "CONFIG#SPACE of OpenColorIO"
        )
    # Parsing arguments must not import NumPy.
    from dubfew.media.ocio_spaces import load_ocio_space

    load_ocio_space(name)


@document_fields
@dataclass(frozen=True, kw_only=True)
class AdaptOptions:
    """Options of ``dubfew.adapt`` and ``dubfew adapt``."""

    actor: str | None = option(
        None, help="Id of the actor; default: the file's name without its ending.", metavar="ID"
    )
    method: str = option(
        "lora",
        help="Adaptation method. texture trains the actor's texture alone, lora also low-rank "
        "updates of the network, full all of its weights.",
        choices=METHODS,
        error=ArtefactError,
    )
    rank: int | None = option(
        None,
        help="Rank of the updates of method lora; default: 16.",
        metavar="R",
        minimum=1,
        error=ArtefactError,
    )
    seconds: float | None = option(
        None,
        help=f"Seconds of footage to use; default: {DEFAULT_FOOTAGE_SECONDS:g}. The best part of "
        "longer footage is chosen.",
        metavar="S",
        above=0,
        unit="s",
    )
    input_transform: str | None = input_transform_option()
    start: float | None = option(
        None,
        help="Time in seconds at which that part begins; default: the best part is chosen.",
        metavar="T",
        minimum=0,
        unit="s",
    )
    face: str | None = face_option(default="the one that is seen most")
    segmenter: str = segmenter_option()
    tracking: str = option(
        "landmarks",
        help="Data that heads are fitted to, in the footage and then in every scene: the "
        "landmarks, or also the pixels (photometric; photometric_adam), which takes many times as "
        "long.",
        choices=TRACKING_METHODS,
    )
    replay: bool | None = option(
        None, help="Mix frames of other people into the training; default: no."
    )
    mixed: float | None = option(
        None,
        help="Share of other people in every batch, from 0 to below 1; default: none, or half with "
        "--replay or --replay-data.",
        metavar="SHARE",
        minimum=0,
    )
    replay_data: Path | str | None = option(
        None,
        help="Prepared people to mix in, for priors that paint: a folder of 'dubfew prior prepare "
        "--layout'. Their learned textures are read from beside the prior.",
        metavar="DATA",
    )
    loss: str | None = option(
        None,
        help="Preset of losses, of the recipe that the prior was trained by; default: dubfew for "
        "blending renderers, the prior's own loss for those that paint.",
        metavar="NAME",
    )
    sync: Path | str | None = option(
        None,
        help="SyncNet of 'dubfew prior sync', for losses that hear one.",
        metavar="FILE",
    )
    texture: str | None = option(
        None,
        help="Start of the actor's texture: random, or the footage's colors; default: footage for "
        "blending renderers, random for those that paint.",
        choices=TEXTURE_STARTS,
    )
    no_prior: bool = option(
        False,
        help="Start from fresh weights instead of the prior's, as a baseline; with --method full.",
    )
    steps: int | None = option(
        None,
        help=f"Training steps at most; default: {DEFAULT_TRAINING_STEPS}, of priors that paint "
        f"{DEFAULT_PAINTING_STEPS}. Training ends sooner when held-out frames stop improving.",
        metavar="N",
        minimum=0,
    )
    draft: bool = option(
        False,
        help="Do not train: an actor in seconds, with most of the quality. Adapt again without it "
        "for the rest.",
    )
    prior: str | Path | None = option(
        None,
        help="Name or folder of a prior, or its address on the Hugging Face Hub, hf://OWNER/NAME; "
        "default: the one that ships.",
        metavar="P",
    )
    head: str | None = option(
        None, help=f"Head model: {HEAD_NAMES}; default: the prior's.", metavar="NAME"
    )
    add: bool = option(
        False,
        help="Add the footage to the actor, who goes on from what was learned: mouths, manner and "
        "texture of both are kept in a new revision. Method, prior and head model are those of the "
        "actor.",
    )
    new_person: bool = option(
        False,
        help="Learn the face even if it is not that of the actor who has this id. The consent of "
        "that actor is not taken over, and the audit log records it.",
    )
    consent: Path | str | None = option(
        None,
        help="Record of the actor's consent (docs/consent.md); default: the record of the actor's "
        "revision that is used.",
        metavar="FILE",
    )
    speech: Path | str | None = option(
        None,
        help="Speech model of 'dubfew speech train'; default: the one that ships. Renders of the "
        "actor use the same model.",
        metavar="FILE",
    )
    device: str = device_option()
    seed: int = option(
        0,
        help="Seed of everything random. The same seed gives the same result on the same machine.",
        metavar="N",
        minimum=0,
        maximum=MAX_SEED,
    )

    def __post_init__(self) -> None:
        validate_options(self)
        if self.draft and self.steps:
            raise DubfewError(
                f"--draft trains nothing and --steps is {self.steps}: leave out one of them"
            )
        if self.add and (self.new_person or self.no_prior or self.texture is not None):
            raise DubfewError(
                "--add goes on from what was learned: leave out --new-person, --no-prior and "
                "--texture"
            )
        if self.mixed is not None and self.mixed >= 1:
            raise DubfewError(f"--mixed is {self.mixed:g}: give a share from 0 to below 1")
        if self.no_prior and self.method != "full":
            raise DubfewError(
                f"--no-prior trains all weights and --method is {self.method}: give --method full"
            )
        if self.replay is False and (self.mixed or self.replay_data is not None):
            raise DubfewError("--no-replay mixes nobody in: leave out --mixed and --replay-data")

    @property
    def max_training_steps(self) -> int:
        """Largest number of training steps."""
        if self.draft:
            return 0
        if self.steps is not None:
            return self.steps
        return DEFAULT_PAINTING_STEPS if self._prior_paints() else DEFAULT_TRAINING_STEPS

    def _prior_paints(self) -> bool:
        """Return whether the prior paints, read without loading it; a missing one does not."""
        if self.prior is None:
            return False
        try:
            config = json.loads((Path(self.prior) / "prior_config.json").read_bytes())
            # Only renderers that paint have a crop layout.
            return "layout" in config["renderer_config"]
        except (OSError, ValueError, KeyError, TypeError):
            return False  # the error comes when the prior is loaded
