"""Folders on the Hugging Face Hub: fetched by an address, and pushed.

Only files that are asked for by name are fetched, so that nothing is ever run of what a repository
holds besides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dubfew.errors import ArtefactError
from dubfew.utils.import_utils import import_optional

# Begin of an address: hf://owner/name, and after an @ a branch, tag or commit.
HUB_PREFIX = "hf://"
_ADDRESS = re.compile(r"([\w.-]{1,96}/[\w.-]{1,96})(?:@([\w./-]{1,200}))?")


def is_hub_address(name: object) -> bool:
    """Tell whether a name is an address on the Hub."""
    return str(name).startswith(HUB_PREFIX)


def fetch_hub_folder(address: str, files: Sequence[str]) -> Path:
    """Fetch files of a repository into the Hub's cache.

    Args:
        address: "hf://owner/name" or "hf://owner/name@revision".
        files: names of the files; those that the repository does not have are left out.

    Returns:
        The folder that has them.

    Raises:
        ArtefactError: The address is malformed, or the repository cannot be fetched.
        MissingDependencyError: huggingface_hub is not installed.
    """
    found = _ADDRESS.fullmatch(address.removeprefix(HUB_PREFIX))
    if found is None:
        raise ArtefactError(
            f"{address[:80]!a} is no address on the Hub: give {HUB_PREFIX}owner/name, or "
            f"{HUB_PREFIX}owner/name@revision"
        )
    hub = import_optional("huggingface_hub")
    try:
        folder = hub.snapshot_download(found[1], revision=found[2], allow_patterns=list(files))
    except Exception as error:  # its own, those of HTTP and those of the system
        reason = " ".join(str(error).split())[:200]
        raise ArtefactError(
            f"{address} cannot be fetched ({type(error).__name__}: {reason}): check the address, "
            "the network and 'hf auth login'"
        ) from error
    return Path(folder)


def push_hub_folder(
    folder: Path, repository: str, *, private: bool = True, message: str = "Upload with dubfew"
) -> str:
    """Push a folder to a repository on the Hub, which is made if it does not exist.

    Args:
        folder: the folder; all its files are pushed.
        repository: "owner/name", with or without "hf://" before it.
        private: whether a new repository can be seen by its owner alone.
        message: message of the commit.

    Returns:
        The URL of the commit.

    Raises:
        ArtefactError: The name is malformed, or the Hub refuses.
        MissingDependencyError: huggingface_hub is not installed.
    """
    name = repository.removeprefix(HUB_PREFIX)
    if not _ADDRESS.fullmatch(name) or "@" in name:
        raise ArtefactError(f"{repository[:80]!a} is no name of a repository: give owner/name")
    hub = import_optional("huggingface_hub")
    try:
        api = hub.HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=name, folder_path=str(folder), commit_message=message)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtefactError(
            f"{name} cannot be pushed to ({type(error).__name__}: {reason}): check the name and "
            "'hf auth login'"
        ) from error
    return str(commit.commit_url)


def format_card_header(license: str, tags: Sequence[str], pipeline: str) -> str:
    """Format the YAML that a model card on the Hub begins with.

    Args:
        license: license of the weights, by its name on the Hub.
        tags: words by which the model is found.
        pipeline: task, by its name on the Hub.

    Raises:
        ArtefactError: The license is no name.
    """
    if not re.fullmatch(r"[a-z0-9.-]{2,40}", license):
        raise ArtefactError(
            f"the license {license[:40]!a} is no name such as mit, cc-by-4.0, other"
        )
    lines = [f"license: {license}", "library_name: dubfew", f"pipeline_tag: {pipeline}", "tags:"]
    return "\n".join(["---", *lines, *(f"  - {tag}" for tag in tags), "---", ""])
