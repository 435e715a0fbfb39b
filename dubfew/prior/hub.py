"""Priors on the Hugging Face Hub: the folder that is pushed, and its model card."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from dubfew.prior.checkpoint import (
    PRIOR_CARD_FILE,
    PRIOR_CONFIG_FILE,
    PRIOR_CRITICS_FILE,
    PRIOR_WEIGHTS_FILE,
    PriorInfo,
    prior_info,
)
from dubfew.utils.files import atomic_path, write_atomic
from dubfew.utils.hub import format_card_header, push_hub_folder

# Name of the model card on the Hub.
HUB_CARD_FILE = "README.md"
TAGS = ("visual-dubbing", "lip-sync", "talking-head", "few-shot")


def save_pretrained(
    folder: Path | str, name: str | Path | None = None, *, license: str = "other"
) -> Path:
    """Copy a prior into a folder as it is pushed to the Hub, with a model card.

    Args:
        folder: folder to write; files of the same names are replaced.
        name: name, folder or address of the prior; None stands for ``lite``.
        license: license of the weights, by its name on the Hub. It depends on the footage; the card
            lists the footage's licenses.

    Returns:
        The folder, which `Prior.from_pretrained` loads.

    Raises:
        ArtefactError: The prior does not exist or is damaged.
        OSError: The folder cannot be written.
    """
    info, folder = prior_info(name), Path(folder)
    card = make_prior_card(info, license)
    folder.mkdir(parents=True, exist_ok=True)
    for file in (PRIOR_CONFIG_FILE, PRIOR_WEIGHTS_FILE, PRIOR_CARD_FILE, PRIOR_CRITICS_FILE):
        if (info.path / file).exists():
            with atomic_path(folder / file) as temporary:
                shutil.copyfile(info.path / file, temporary)
    write_atomic(folder / HUB_CARD_FILE, card.encode())
    return folder


def push_to_hub(
    repository: str,
    name: str | Path | None = None,
    *,
    license: str = "other",
    private: bool = True,
) -> str:
    """Push a prior to the Hub, with a model card. Actors are never pushed this way.

    Args:
        repository: "owner/name"; made if it does not exist.
        name: name or folder of the prior; None stands for ``lite``.
        license: license of the weights, by its name on the Hub.
        private: whether a new repository can be seen by its owner alone.

    Returns:
        The URL of the commit.

    Raises:
        ArtefactError: The prior does not exist, or the Hub refuses.
        MissingDependencyError: huggingface_hub is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="dubfew-hub-") as folder:
        save_pretrained(folder, name, license=license)
        return push_hub_folder(Path(folder), repository, private=private)


def make_prior_card(info: PriorInfo, license: str = "other") -> str:
    """Make the model card of a prior from its configuration and its own card.

    Args:
        info: the prior.
        license: license of the weights, by its name on the Hub.

    Returns:
        Markdown that begins with YAML.

    Raises:
        ArtefactError: The license is no name.
    """
    config = info.config
    # Priors of older versions, or of other tools, may hold anything under these keys; a card is
    # made of what can be read.
    people = [each for each in config.get("people") or [] if isinstance(each, dict)]
    training = config.get("training") if isinstance(config.get("training"), dict) else {}
    sources = Counter((_cell(each, "source"), _cell(each, "license")) for each in people)
    lines = [
        f"# {info.name}",
        "",
        "A prior of [dubfew](https://github.com/dubfew/dubfew): a renderer of mouths that learned "
        "from many people, and that learns one actor from a few seconds of footage.",
        "",
        "```",
        "dubfew adapt actor.mp4 --prior hf://OWNER/NAME",
        "```",
        "",
        "## Facts",
        "",
        f"- Renderer: {config.get('renderer')}; head model: {config.get('head')}",
        f"- SHA-256 of the weights: `{info.sha256}`",
    ]
    if training and training.get("best_psnr_heldout") is not None:
        lines.append(
            f"- Held-out people, best step of the training: {training['best_psnr_heldout']:.2f} dB "
            "(PSNR of the mouth)"
        )
    lines += ["", "## People", ""]
    # Counts by source and license, never names: whoever shares weights has to know what they
    # learned from, but not from whom.
    if sources:
        lines += ["| source | license | clips |", "|---|---|---|"]
        lines += [f"| {a} | {b} | {count} |" for (a, b), count in sorted(sources.items())]
    else:
        lines.append("The configuration names no footage.")
    lines += [
        "",
        "## Limits",
        "",
        # Said in every card, whatever the prior's own card says.
        "It renders nobody by itself: it needs an actor's footage, and that actor's consent. "
        "Outputs are marked. People, poses and light unlike its footage are rendered worse.",
        "",
        info.card or "The prior has no card of its own.",
    ]
    header = format_card_header(license, TAGS, "video-to-video")
    return header + "\n".join(lines).rstrip() + "\n"


def _cell(person: dict[str, object], key: str) -> str:
    """A text for a table of Markdown."""
    return " ".join(str(person.get(key) or "not stated").replace("|", "/").split())
