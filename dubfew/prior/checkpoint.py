"""The prior as an artefact: a folder of readable files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from dubfew.errors import ArtefactError
from dubfew.prior.renderers import BlendingUNet, BlendingUNetConfig, Renderer, make_renderer
from dubfew.textures import TEXTURE_SIZE
from dubfew.utils.files import sha256_file, write_atomic
from dubfew.utils.format_version import check_format_version

PRIOR_FORMAT_VERSION = 1
PRIOR_CONFIG_FILE, PRIOR_WEIGHTS_FILE, PRIOR_CARD_FILE = (
    "prior_config.json",
    "prior_model.safetensors",
    "CARD.md",
)
MEAN_TEXTURE_KEY = "texture_mean"
DEFAULT_PRIOR, UNTRAINED_PRIOR = "lite", "warp"


@dataclass(frozen=True)
class PriorInfo:
    """What is known of a stored prior without loading its weights.

    Attributes:
        name: how to ask for it.
        path: its folder.
        sha256: of the weights; adapters name it.
        bytes: of the weights.
        card: the model card, Markdown.
        config: the JSON configuration.
    """

    name: str
    path: Path
    sha256: str
    bytes: int
    card: str
    config: dict[str, Any]


@dataclass(frozen=True)
class Prior:
    """A trained multi-person renderer.

    Attributes:
        renderer: the network.
        renderer_name: its entry in `RENDERERS`.
        texture: mean of the training people's neural textures: where a new one starts. [C, H, W]
        head: id of the head model that it was trained with.
        sha256: of the stored weights, empty for one that was never stored.
        name: what `Prior.load` finds it by.
    """

    renderer: Renderer
    renderer_name: str
    texture: Tensor
    head: str
    sha256: str = ""
    name: str = UNTRAINED_PRIOR

    def save(self, folder: Path, config: dict[str, Any], card: str) -> None:
        """Store in half precision with its configuration and card."""
        tensors = {f"renderer.{k}": v for k, v in self.renderer.state_dict().items()}
        tensors[MEAN_TEXTURE_KEY] = self.texture
        half = {k: v.detach().cpu().half().contiguous() for k, v in tensors.items()}
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / PRIOR_WEIGHTS_FILE, save(half))
        stored = {
            "format_version": PRIOR_FORMAT_VERSION,
            "renderer": self.renderer_name,
            "renderer_config": renderer_config_to_dict(self.renderer),
            "head": self.head,
            **config,
        }
        write_atomic(folder / PRIOR_CONFIG_FILE, json.dumps(stored, indent=2).encode())
        write_atomic(folder / PRIOR_CARD_FILE, card.encode())

    @classmethod
    def load(cls, name: str | Path | None = None) -> Prior:
        """Load a prior by name or from its folder.

        ``lite`` ships with dubfew; ``warp`` is an untrained network that renders the bare warp,
        for adaptation without a prior.

        Raises:
            ArtefactError: no such prior, damaged, or from a newer dubfew.
        """
        if str(name) == UNTRAINED_PRIOR:
            return create_untrained_prior()
        info = prior_info(name)
        try:
            tensors = load_file(info.path / PRIOR_WEIGHTS_FILE)
        except (OSError, SafetensorError) as error:
            raise ArtefactError(f"the weights in {info.path} cannot be read: {error}") from error
        renderer = make_renderer(info.config["renderer"], info.config["renderer_config"])
        prefix = "renderer."
        weights = {k[len(prefix) :]: v.float() for k, v in tensors.items() if k.startswith(prefix)}
        try:
            renderer.load_state_dict(weights)
        except RuntimeError as error:
            raise ArtefactError(
                f"the weights in {info.path} do not fit its configuration"
            ) from error
        return cls(
            renderer.eval(),
            info.config["renderer"],
            tensors[MEAN_TEXTURE_KEY].float(),
            info.config["head"],
            info.sha256,
            info.name
            if info.path == _shipped_priors_dir() / info.name
            else str(info.path.resolve()),
        )


def renderer_config_to_dict(renderer: Renderer) -> dict[str, Any]:
    """The configuration that builds this renderer again."""
    return asdict(renderer.config)


def create_untrained_prior(seed: int = 0, config: BlendingUNetConfig | None = None) -> Prior:
    """An untrained ``lite`` prior: it renders the bare warp."""
    torch.manual_seed(seed)
    renderer = BlendingUNet(config)
    texture = torch.zeros(renderer.config.texture_channels, TEXTURE_SIZE, TEXTURE_SIZE)
    return Prior(renderer.eval(), "lite", texture, "lite")


def _shipped_priors_dir() -> Path:
    return Path(str(files("dubfew.prior") / "weights"))


def prior_info(name: str | Path | None = None) -> PriorInfo:
    """Look at a prior without loading its weights.

    Args:
        name: a shipped prior's name, or the folder of another; ``lite`` by default.

    Raises:
        ArtefactError: no such prior, or it is from a newer dubfew.
    """
    wanted = str(name or DEFAULT_PRIOR)
    if wanted == UNTRAINED_PRIOR:
        raise ArtefactError(
            f"prior {UNTRAINED_PRIOR!r} is an untrained network: it has no weights, card or hash "
            "to show"
        )
    folder = _shipped_priors_dir() / wanted
    if not (folder / PRIOR_CONFIG_FILE).exists():
        folder = Path(wanted)
    try:
        config = json.loads((folder / PRIOR_CONFIG_FILE).read_text())
    except OSError as error:
        known = ", ".join(p.name for p in list_priors()) or "none"
        raise ArtefactError(
            f"no prior {wanted!r}: give the folder of one, or one of those shipped: {known}"
        ) from error
    except ValueError as error:
        raise ArtefactError(f"{folder / PRIOR_CONFIG_FILE} is damaged: it is not JSON") from error
    if not isinstance(config, dict):
        raise ArtefactError(f"{folder / PRIOR_CONFIG_FILE} is damaged: it is not a JSON object")
    check_format_version(config.get("format_version", 1), PRIOR_FORMAT_VERSION, f"prior {wanted!r}")
    weights = folder / PRIOR_WEIGHTS_FILE
    if not weights.exists():
        raise ArtefactError(f"prior {wanted!r} has no {PRIOR_WEIGHTS_FILE}")
    card = folder / PRIOR_CARD_FILE
    return PriorInfo(
        name=folder.name,
        path=folder,
        sha256=sha256_file(weights),
        bytes=weights.stat().st_size,
        card=card.read_text() if card.exists() else "",
        config=config,
    )


def list_priors() -> list[PriorInfo]:
    """The priors that ship with dubfew."""
    folder = _shipped_priors_dir()
    if not folder.is_dir():
        return []
    return [
        prior_info(p.name) for p in sorted(folder.iterdir()) if (p / PRIOR_CONFIG_FILE).exists()
    ]
