"""Priors and speech models on the Hub: cards, folders, addresses. Nothing is sent or fetched."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dubfew.errors import ArtefactError
from dubfew.prior import Prior, prior_info
from dubfew.prior.hub import make_prior_card, push_to_hub, save_pretrained
from dubfew.speech import hub as speech_hub
from dubfew.utils.hub import fetch_hub_folder

huggingface_hub = pytest.importorskip("huggingface_hub")


class StandIn:
    """Stands for the Hub: repositories are folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, str | None, list[str]]] = []
        self.made: dict[str, bool] = {}

    def snapshot_download(self, name: str, *, revision: str | None, allow_patterns: Any) -> str:
        self.asked.append((name, revision, allow_patterns))
        if not (self.folder / name).is_dir():
            raise FileNotFoundError(f"no repository {name}")
        return str(self.folder / name)

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> None:
        self.made[name] = private

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> Any:
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)
        return SimpleNamespace(commit_url=f"https://huggingface.co/{repo_id}/commit/1")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = StandIn(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", found.snapshot_download)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: found)
    return found


def test_a_prior_is_pushed_and_fetched(hub: StandIn) -> None:
    assert push_to_hub("studio/lite", license="mit").endswith("/commit/1")
    assert hub.made == {"studio/lite": True}
    for name in ("hf://studio/lite@main", "hf://studio/lite"):
        info = prior_info(name)
        assert info.sha256 == prior_info().sha256
    found = Prior.from_pretrained("studio/lite")
    assert found.sha256 == prior_info().sha256
    # An actor that is learned from it names the folder of the cache.
    assert found.name == str((hub.folder / "studio/lite").resolve())
    assert [revision for _, revision, _ in hub.asked] == ["main", None, None]
    # Nothing but the prior's own files is asked for.
    assert all(name.endswith((".json", ".safetensors", ".md")) for name in hub.asked[0][2])


def test_the_card_lists_people_and_licenses(tmp_path: Path) -> None:
    card = make_prior_card(prior_info(), "mit")
    assert card.startswith("---\nlicense: mit\nlibrary_name: dubfew\n")
    assert "| KwaiVGI/LivePortrait | MIT (repository) | 10 |" in card
    assert "| dubfew.synthetic | MIT (made with dubfew) | 12 |" in card
    assert prior_info().sha256 in card
    assert "## How it was made" in card
    with pytest.raises(ArtefactError, match="is no name"):
        make_prior_card(prior_info(), "mit\nextra: 1")
    folder = save_pretrained(tmp_path / "saved")
    assert Prior.from_pretrained(folder).sha256 == prior_info().sha256
    with pytest.raises(ArtefactError, match="untrained"):
        save_pretrained(tmp_path / "warp", "warp")


def test_the_lines_of_the_guide(
    hub: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = Path(__file__).resolve().parents[2] / "docs" / "guides" / "train-a-prior.md"
    save_pretrained(hub.folder / "studio" / "mouths")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(guide.read_text().split("```python\n")[1].split("```")[0], names)
    assert names["prior"].sha256 == prior_info().sha256
    assert (tmp_path / "folder" / "README.md").read_text().startswith("---\nlicense: mit\n")


def test_a_speech_model(hub: StandIn) -> None:
    speech_hub.push_to_hub("studio/speech", private=False)
    assert hub.made == {"studio/speech": False}
    card = (hub.folder / "studio/speech" / "README.md").read_text()
    assert "library_name: dubfew" in card
    assert speech_hub.from_pretrained("studio/speech") is not None


@pytest.mark.parametrize(
    "address", ["hf://", "hf://lite", "hf://a/b/c", "hf://../x/y", "hf://a/b@"]
)
def test_malformed_addresses(hub: StandIn, address: str) -> None:
    with pytest.raises(ArtefactError, match="no address on the Hub"):
        fetch_hub_folder(address, ())
    assert hub.asked == []


def test_what_is_not_there(hub: StandIn) -> None:
    with pytest.raises(ArtefactError, match=r"hf://no/body cannot be fetched .*no repository"):
        prior_info("hf://no/body")
