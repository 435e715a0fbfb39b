"""Content Credentials (C2PA): what was done to a video, signed into the file or beside it."""

from __future__ import annotations

import base64
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dubfew.errors import DubfewError, MediaError
from dubfew.marks.certificate import SigningIdentity
from dubfew.utils.files import sha256_file, write_atomic
from dubfew.version import __version__

RENDER_ASSERTION_LABEL = "dubfew.render"  # of dubfew's own assertion
ASSERTION_FORMAT_VERSION = 1
SOFT_BINDING_ALGORITHM = "dubfew.mouth.1"  # the watermark, as C2PA names a soft binding's algorithm
# http, not https: it is a name, and this is how IPTC writes it.
SYNTHETIC_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
# Containers with a place for credentials. Others get a file of this suffix beside them, where
# every C2PA reader looks.
EMBEDDABLE_MEDIA_TYPES = {".mp4": "video/mp4", ".m4v": "video/x-m4v", ".mov": "video/quicktime"}
EMBEDDABLE_MEDIA_TYPES[".avi"] = "video/avi"
SIDECAR_SUFFIX = ".c2pa"
UNKNOWN_MEDIA_TYPE = "application/octet-stream"
C2PA_SETTINGS: dict[str, Any] = {
    # Nothing is ever asked of the network.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": True},
    # The actions are all told here; a thumbnail would put a picture of the input into the output.
    "builder": {
        "thumbnail": {"enabled": False},
        "actions": {
            "auto_created_action": {"enabled": False},
            "auto_opened_action": {"enabled": False},
            "auto_placed_action": {"enabled": False},
        },
    },
    "core": {"backing_store_memory_threshold_in_mb": 32},
}


@dataclass(frozen=True)
class RenderProvenance:
    """What the credentials say was done. No names of files or actors, and nothing of their looks.

    Attributes:
        scene: the video that was changed.
        sound: what was spoken, or None where the scene has no sound.
        drive: what moved the mouth: "audio", "video" or "self".
        prior: name of the prior.
        prior_sha256: of its weights, "" for one without any.
        consent_sha256: of the consent record, or None without one.
        watermark: id, or None where it was switched off.
    """

    scene: Path
    sound: Path | None
    drive: str
    prior: str
    prior_sha256: str
    consent_sha256: str | None
    watermark: str | None


def credentials_path(output: Path) -> Path:
    """Where the credentials of a video are: in it, or beside it."""
    return (
        output
        if output.suffix.lower() in EMBEDDABLE_MEDIA_TYPES
        else output.with_suffix(SIDECAR_SUFFIX)
    )


def sign_video(
    file: Path, output: Path, provenance: RenderProvenance, identity: SigningIdentity
) -> None:
    """Sign a finished file that is yet to take its place.

    Args:
        file: the finished video; signed in place where its container can hold credentials.
        output: the name it is going to have; credentials beside it are written at once.
        provenance: what was done.
        identity: who says so.

    Raises:
        MediaError: the credentials cannot be made.
        OSError: they cannot be written.
    """
    import c2pa

    kind = EMBEDDABLE_MEDIA_TYPES.get(output.suffix.lower())
    try:
        with _make_builder(provenance) as builder, _make_signer(identity) as signer:
            if kind is None:
                builder.set_no_embed()
                with open(file, "rb") as source:
                    # What does not hold credentials is copied: to nowhere.
                    manifest = builder.sign(signer, UNKNOWN_MEDIA_TYPE, source, _NullStream())
            else:
                # Unnamed: gone with the process, however that ends.
                with tempfile.TemporaryFile(dir=file.parent) as signed:
                    with open(file, "rb") as source:
                        builder.sign(signer, kind, source, signed)
                    signed.seek(0)
                    with open(file, "rb+") as target:
                        shutil.copyfileobj(signed, target, 1 << 20)
                        target.truncate()
    except c2pa.C2paError as error:
        raise MediaError(
            f"{output} cannot be given Content Credentials ({error}): check the certificate"
        ) from error
    if kind is None:
        write_atomic(credentials_path(output), manifest)


def _make_builder(provenance: RenderProvenance) -> Any:
    import c2pa

    parameters: dict[str, Any] = {"ingredientIds": ["sound"]} if provenance.sound else {}
    actions: list[dict[str, Any]] = [
        {"action": "c2pa.opened", "parameters": {"ingredientIds": ["scene"]}},
        {
            "action": "c2pa.edited",
            "digitalSourceType": SYNTHETIC_SOURCE_TYPE,
            "description": "The mouth was painted anew to fit other speech.",
            "parameters": parameters,
        },
    ]
    assertions: list[dict[str, Any]] = [
        {"label": "c2pa.actions", "data": {"actions": actions}},
        {"label": RENDER_ASSERTION_LABEL, "data": _render_assertion(provenance)},
    ]
    if provenance.watermark is not None:
        actions.append({"action": "c2pa.watermarked.bound"})
        value = base64.b64encode(bytes.fromhex(provenance.watermark)).decode()
        binding = {"alg": SOFT_BINDING_ALGORITHM, "blocks": [{"scope": {}, "value": value}]}
        assertions.append({"label": "c2pa.soft-binding", "data": binding})
    generator = {"name": "dubfew", "version": __version__}
    definition = {"claim_generator_info": [generator], "assertions": assertions}
    builder = c2pa.Builder(definition, c2pa.Context.from_dict(C2PA_SETTINGS))
    try:
        _add_ingredient(builder, provenance.scene, "scene", "parentOf")
        if provenance.sound is not None:
            _add_ingredient(builder, provenance.sound, "sound", "inputTo")
    except BaseException:
        builder.close()
        raise
    return builder


def _render_assertion(provenance: RenderProvenance) -> dict[str, Any]:
    sound = provenance.sound
    return {
        "format_version": ASSERTION_FORMAT_VERSION,
        "version": __version__,
        "prior": {"name": provenance.prior, "sha256": provenance.prior_sha256},
        "drive": provenance.drive,
        "consent_sha256": provenance.consent_sha256,
        "watermark": provenance.watermark,
        "watermark_switched_off": provenance.watermark is None,
        "scene_sha256": sha256_file(provenance.scene),
        "sound_sha256": None if sound is None else sha256_file(sound),
    }


def _add_ingredient(builder: Any, path: Path, name: str, relationship: str) -> None:
    """Add an input with the credentials that it has, in it or beside it."""
    import c2pa

    suffix = path.suffix.lower()
    about: dict[str, Any] = {"title": name, "label": name, "relationship": relationship}
    beside = path.with_suffix(SIDECAR_SUFFIX)
    if suffix not in EMBEDDABLE_MEDIA_TYPES and beside.exists():
        manifest = beside.read_bytes()
        with suppress(MediaError):  # damaged ones cannot be kept
            found = _read_manifest_store(path, manifest, None)
            builder.add_resource("credentials", io.BytesIO(manifest))
            about["manifest_data"] = {"format": "application/c2pa", "identifier": "credentials"}
            about["active_manifest"] = found["active_manifest"]
            about["validation_results"] = found["validation_results"]
    kind = EMBEDDABLE_MEDIA_TYPES.get(suffix, suffix[1:])
    with open(path, "rb") as source:
        if kind in _readable_media_types():
            # What FFmpeg reads c2pa may not: then the input is named, without its credentials.
            with suppress(c2pa.C2paError):
                builder.add_ingredient(about, kind, source)
                return
            source.seek(0)
        builder.add_ingredient(about, UNKNOWN_MEDIA_TYPE, source)


@cache
def _readable_media_types() -> frozenset[str]:
    import c2pa

    return frozenset(c2pa.Builder.get_supported_mime_types())


def _make_signer(identity: SigningIdentity) -> Any:
    import c2pa

    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(
            identity.algorithm.encode(), identity.certificate_chain, identity.private_key, None
        )
    )


class _NullStream(io.RawIOBase):
    """A file that forgets what is written to it, and how much only is known."""

    def __init__(self) -> None:
        self._position = self._end = 0

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = (
            offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end}[whence]
        )
        return self._position

    def tell(self) -> int:
        return self._position


@dataclass(frozen=True)
class CredentialsIngredient:
    """Something that the video was made of.

    Attributes:
        relationship: "parentOf" (the video that was changed) or "inputTo".
        title: what the credentials call it.
        generator: what made its own credentials, or None where it has none.
    """

    relationship: str
    title: str
    generator: str | None


@dataclass(frozen=True)
class ContentCredentials:
    """What the credentials of a file say.

    Attributes:
        place: the file, or the one beside it.
        state: "trusted" (valid, and the signer is known), "valid" (unchanged since it was signed,
            by whomever) or "invalid" (changed since, or signed wrongly).
        problems: what is wrong with them, in C2PA's codes.
        signer: whom the certificate names.
        issuer: who issued it.
        generator: the program, with its version.
        actions: what was done, in C2PA's words.
        source_type: of what was made, in IPTC's words, or None.
        ingredients: what it was made of.
        manifests: how many there are, those of the ingredients included.
        rendering: dubfew's own assertion, or None in credentials of other programs.
    """

    place: Path
    state: str
    problems: tuple[str, ...]
    signer: str
    issuer: str
    generator: str
    actions: tuple[str, ...]
    source_type: str | None
    ingredients: tuple[CredentialsIngredient, ...]
    manifests: int
    rendering: Mapping[str, Any] | None


class _NoCredentialsError(MediaError):
    """A file has no credentials."""


def read_credentials(path: Path | str, *, trust: Path | None = None) -> ContentCredentials | None:
    """Read and check the Content Credentials of a file.

    Args:
        path: a video; credentials beside it are found.
        trust: certificates (PEM) whose signers count as known.

    Returns:
        What they say, or None where there are none.

    Raises:
        MediaError: what is there cannot be read as credentials.
        OSError: the file cannot be read.
    """
    path = Path(path)
    beside = path.with_suffix(SIDECAR_SUFFIX)
    if path.suffix.lower() in EMBEDDABLE_MEDIA_TYPES:
        with suppress(_NoCredentialsError):
            return _credentials_from_store(_read_manifest_store(path, None, trust), path)
    if beside.exists():
        return _credentials_from_store(
            _read_manifest_store(path, beside.read_bytes(), trust), beside
        )
    return None


def _read_manifest_store(path: Path, manifest: bytes | None, trust: Path | None) -> dict[str, Any]:
    """The manifest store as c2pa's JSON. Raises MediaError."""
    import c2pa

    # With credentials given apart, only the file's bytes count: any kind that is known will do.
    kind = EMBEDDABLE_MEDIA_TYPES[path.suffix.lower()] if manifest is None else "application/c2pa"
    try:
        with (
            open(path, "rb") as source,
            c2pa.Reader(kind, source, manifest, context=_c2pa_context(trust)) as reader,
        ):
            return json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound as error:
        raise _NoCredentialsError(f"{path} has no Content Credentials") from error
    except c2pa.C2paError as error:
        what = path if manifest is None else path.with_suffix(SIDECAR_SUFFIX)
        raise MediaError(f"the Content Credentials of {what} are damaged ({error})") from error


def _c2pa_context(trust: Path | None) -> Any:
    """How c2pa is to judge. Raises DubfewError."""
    import c2pa

    if trust is None:
        return c2pa.Context.from_dict(C2PA_SETTINGS)
    try:
        anchors = {"user_anchors": trust.read_text("utf-8")}
        return c2pa.Context.from_dict({**C2PA_SETTINGS, "trust": anchors})
    except (OSError, UnicodeDecodeError, c2pa.C2paError) as error:
        raise DubfewError(f"{trust} is no list of certificates ({error}): give PEM") from error


def _credentials_from_store(store: Mapping[str, Any], place: Path) -> ContentCredentials:
    active = store["manifests"][store["active_manifest"]]
    data = {item["label"]: item.get("data", {}) for item in active.get("assertions", [])}
    actions = [
        action
        for label, held in data.items()
        if label.startswith("c2pa.actions")
        for action in held.get("actions", [])
    ]
    state = str(store.get("validation_state", "Invalid")).lower()
    problems = {item["code"] for item in store.get("validation_status", [])}
    signature = active.get("signature_info", {})
    return ContentCredentials(
        place=place,
        state=state if state in ("trusted", "valid") else "invalid",
        # That nobody vouches for the signer is what "valid" says.
        problems=tuple(sorted(problems - {"signingCredential.untrusted"})),
        signer=signature.get("common_name", ""),
        issuer=signature.get("issuer", ""),
        generator=_generator_name(active),
        actions=tuple(str(action.get("action")) for action in actions),
        source_type=next(
            (str(kind) for action in actions if (kind := action.get("digitalSourceType"))), None
        ),
        ingredients=tuple(
            CredentialsIngredient(
                str(item.get("relationship")),
                str(item.get("title", "")),
                _generator_name(store["manifests"][item["active_manifest"]])
                if item.get("active_manifest") in store["manifests"]
                else None,
            )
            for item in active.get("ingredients", [])
        ),
        manifests=len(store["manifests"]),
        rendering=data.get(RENDER_ASSERTION_LABEL),
    )


def _generator_name(manifest: Mapping[str, Any]) -> str:
    about = (manifest.get("claim_generator_info") or [{}])[0]
    name = about.get("name") or manifest.get("claim_generator") or "unknown"
    return f"{name} {about.get('version', '')}".strip()
