"""Priors as artefacts: a folder with configuration, weights and model card, and those shipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dubfew.errors import ArtefactError
from dubfew.prior.renderers import RENDERERS, BlendingUNet, BlendingUNetConfig, make_renderer
from dubfew.textures import TEXTURE_SIZE
from dubfew.utils.files import sha256_file, write_atomic
from dubfew.utils.format_version import check_format_version
from dubfew.utils.hub import HUB_PREFIX, fetch_hub_folder, is_hub_address

# Version of a prior's files. Higher whenever this dubfew's files would be misread by an older one.
PRIOR_FORMAT_VERSION = 1
# Names of a prior's files. Changing one makes stored priors unreadable.
PRIOR_CONFIG_FILE, PRIOR_WEIGHTS_FILE, PRIOR_CARD_FILE = (
    "prior_config.json",
    "prior_model.safetensors",
    "CARD.md",
)
# Weights of the critics at the end of a training, which adaptations start from; not every prior has
# them, and nothing but adaptation needs them.
PRIOR_CRITICS_FILE = "prior_critics.safetensors"
# Counters of batch normalization say how many batches a training had, and nothing uses them.
UNSTORED_BUFFER = "num_batches_tracked"
# Names of tensors in the file of weights: the texture, and what the renderer's begin with.
MEAN_TEXTURE_KEY, RENDERER_KEY_PREFIX = "texture_mean", "renderer."
# Names that need no folder: the shipped prior that is used by default, and a network with fresh
# weights, which is made anew instead of stored.
DEFAULT_PRIOR, UNTRAINED_PRIOR = "lite", "warp"


@dataclass(frozen=True)
class PriorInfo:
    """Facts about a stored prior, without its weights.

    Attributes:
        name: name of its folder.
        path: the folder.
        sha256: SHA-256 of the file of weights, by which adapters name their prior.
        bytes: size of that file.
        card: model card in Markdown, or "".
        config: configuration as stored, JSON.
    """

    name: str
    path: Path
    sha256: str
    bytes: int
    card: str
    config: dict[str, Any]


@dataclass(frozen=True)
class Prior:
    """A renderer that was trained on many people.

    Attributes:
        renderer: the network, in evaluation mode.
        renderer_name: its entry in `dubfew.prior.renderers.RENDERERS`.
        texture: texture that a new actor starts from, with the mean colors of the training people.
            [C, H, W]
        head: name of the head model that it was trained with.
        sha256: SHA-256 of the stored weights; "" for a prior that was never stored.
        name: name or absolute folder that `load` finds it by.
        recipe: entry of `dubfew.prior.recipes.RECIPES` that trained it; "" for the renderer's own.
        loss: the ``loss`` of its training's configuration.
        critics: weights of the recipe's critics at the end of the training, by critic; empty where
            none are stored.
    """

    renderer: Any
    renderer_name: str
    texture: Tensor
    head: str
    sha256: str = ""
    name: str = UNTRAINED_PRIOR
    recipe: str = ""
    loss: str | Mapping[str, Any] = field(default_factory=dict)
    critics: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)

    @property
    def recipe_name(self) -> str:
        """Return the name of the recipe that trained it."""
        return self.recipe or RENDERERS.load(self.renderer_name).recipe

    def save(self, folder: Path, config: dict[str, Any], card: str) -> None:
        """Store the prior in half precision.

        Args:
            folder: folder to write the files into; made where it is missing.
            config: further entries of the configuration, JSON values: training and people.
            card: model card in Markdown.
        """
        tensors = {
            f"{RENDERER_KEY_PREFIX}{name}": value
            for name, value in _to_stored(self.renderer).items()
        }
        tensors[MEAN_TEXTURE_KEY] = self.texture.detach().cpu().half().contiguous()
        folder.mkdir(parents=True, exist_ok=True)
        if self.critics:
            flat = {
                f"{critic}/{name}": value.detach().cpu().half().contiguous()
                for critic, state in self.critics.items()
                for name, value in state.items()
            }
            write_atomic(folder / PRIOR_CRITICS_FILE, save(flat))
        write_atomic(folder / PRIOR_WEIGHTS_FILE, save(tensors))
        # The first four keys are what loading needs.
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
    def from_pretrained(cls, name: str | Path) -> Prior:
        """Load a prior from a folder or from the Hugging Face Hub, as other libraries do.

        Args:
            name: a folder that exists, or "owner/name" on the Hub.

        Raises:
            ArtefactError: The prior does not exist, is damaged, or was written by a newer dubfew.
            MissingDependencyError: huggingface_hub is not installed.
        """
        if Path(name).is_dir() or is_hub_address(name):
            return cls.load(name)
        return cls.load(f"{HUB_PREFIX}{name}")

    @classmethod
    def load(cls, name: str | Path | None = None) -> Prior:
        """Load a prior by name or from its folder.

        Args:
            name: ``lite``, which ships; ``warp``, an untrained network that renders the bare warp,
                for adaptation without a prior; the folder of another prior; or its address on the
                Hugging Face Hub, ``hf://owner/name``. None stands for ``lite``.

        Raises:
            ArtefactError: The prior does not exist, is damaged, or was written by a newer dubfew.
        """
        if str(name) == UNTRAINED_PRIOR:
            return create_untrained_prior()
        info = prior_info(name)
        try:
            tensors = load_file(info.path / PRIOR_WEIGHTS_FILE)
        except (OSError, SafetensorError) as error:
            raise ArtefactError(f"the weights in {info.path} cannot be read: {error}") from error
        # A fresh network of the stored sizes; the strict load below finds anything that is wrong.
        renderer = make_renderer(info.config["renderer"], info.config["renderer_config"])
        weights = {
            key.removeprefix(RENDERER_KEY_PREFIX): value.float()
            for key, value in tensors.items()
            if key.startswith(RENDERER_KEY_PREFIX)
        }
        counters = {k: v for k, v in renderer.state_dict().items() if k.endswith(UNSTORED_BUFFER)}
        try:
            renderer.load_state_dict({**weights, **counters})
        except RuntimeError as error:
            raise ArtefactError(
                f"the weights in {info.path} do not fit its configuration"
            ) from error
        is_shipped = info.path == _shipped_priors_dir() / info.name
        training = info.config.get("training")
        training = training if isinstance(training, dict) else {}
        return cls(
            renderer=renderer.eval(),
            renderer_name=info.config["renderer"],
            texture=tensors[MEAN_TEXTURE_KEY].float(),
            head=info.config["head"],
            sha256=info.sha256,
            # An actor that names its prior by an absolute folder can be rendered from anywhere.
            name=info.name if is_shipped else str(info.path.resolve()),
            recipe=str(training.get("recipe") or ""),
            loss=training.get("loss") or {},
            critics=_load_critics(info.path / PRIOR_CRITICS_FILE),
        )


def _to_stored(renderer: nn.Module) -> dict[str, Tensor]:
    """Return weights in half precision, and buffers as they are.

    Half precision halves the file; training starts from the same rounded weights everywhere. A
    running variance of batch normalization may pass the largest number of half precision.
    """
    buffers = {name for name, _ in renderer.named_buffers()}
    return {
        name: (value.float() if name in buffers else value.half()).detach().cpu().contiguous()
        for name, value in renderer.state_dict().items()
        if not name.endswith(UNSTORED_BUFFER)
    }


def _load_critics(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the weights of critics; none where the file is missing.

    Raises:
        ArtefactError: The file is damaged.
    """
    if not path.exists():
        return {}
    try:
        flat = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtefactError(f"{path} cannot be read: {error}") from error
    critics: dict[str, dict[str, Tensor]] = {}
    for key, value in flat.items():
        critic, _, name = key.partition("/")
        critics.setdefault(critic, {})[name] = value.float()
    return critics


def renderer_config_to_dict(renderer: Any) -> dict[str, Any]:
    """Return the configuration that builds a renderer again, see `make_renderer`."""
    return asdict(renderer.config)


def create_untrained_prior(seed: int = 0, config: BlendingUNetConfig | None = None) -> Prior:
    """Make a prior with fresh weights: it renders the bare warp.

    Args:
        seed: seed of the weights.
        config: sizes of the network; those of ``lite`` by default.
    """
    torch.manual_seed(seed)
    renderer = BlendingUNet(config)
    texture = torch.zeros(renderer.config.texture_channels, TEXTURE_SIZE, TEXTURE_SIZE)
    return Prior(renderer.eval(), "lite", texture, "lite")


def _shipped_priors_dir() -> Path:
    """Return the folder of the priors in this package."""
    return Path(str(files("dubfew.prior") / "weights"))


def prior_info(name: str | Path | None = None) -> PriorInfo:
    """Read facts about a prior without loading its weights.

    Args:
        name: name of a shipped prior, the folder of another, or its address on the Hugging Face
            Hub, ``hf://owner/name``, which is fetched; None stands for ``lite``.

    Raises:
        ArtefactError: The prior does not exist, is incomplete, or was written by a newer dubfew.
        MissingDependencyError: The address needs huggingface_hub, which is not installed.
    """
    name = str(name or DEFAULT_PRIOR)
    if name == UNTRAINED_PRIOR:
        # The name is known, so the error for unknown names would mislead.
        raise ArtefactError(
            f"prior {UNTRAINED_PRIOR!r} is an untrained network: it has no weights, card or hash "
            "to show"
        )
    if is_hub_address(name):
        wanted = (PRIOR_CONFIG_FILE, PRIOR_WEIGHTS_FILE, PRIOR_CARD_FILE, PRIOR_CRITICS_FILE)
        name = str(fetch_hub_folder(name, wanted))
    # A shipped name wins over a folder of that name in the working directory.
    folder = _shipped_priors_dir() / name
    if not (folder / PRIOR_CONFIG_FILE).exists():
        folder = Path(name)
    try:
        config = json.loads((folder / PRIOR_CONFIG_FILE).read_text())
    except OSError as error:
        known = ", ".join(p.name for p in list_priors()) or "none"
        raise ArtefactError(
            f"no prior {name!r}: give the folder of one, or one of those shipped: {known}"
        ) from error
    except ValueError as error:
        raise ArtefactError(f"{folder / PRIOR_CONFIG_FILE} is damaged: it is not JSON") from error
    if not isinstance(config, dict):
        raise ArtefactError(f"{folder / PRIOR_CONFIG_FILE} is damaged: it is not a JSON object")
    check_format_version(config.get("format_version", 1), PRIOR_FORMAT_VERSION, f"prior {name!r}")
    weights = folder / PRIOR_WEIGHTS_FILE
    if not weights.exists():
        raise ArtefactError(f"prior {name!r} has no {PRIOR_WEIGHTS_FILE}")
    # Cards are written by hand: a prior just trained has none.
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
    """List the priors that ship with dubfew."""
    folder = _shipped_priors_dir()
    # An installation without the weights has no folder.
    if not folder.is_dir():
        return []
    return [
        prior_info(p.name) for p in sorted(folder.iterdir()) if (p / PRIOR_CONFIG_FILE).exists()
    ]
