"""Content Credentials (C2PA) of a video: a signed manifest in the file or beside it.

The manifest records that the mouth was rendered and from what, in C2PA's actions and ingredients,
in an assertion of dubfew's own, and in a soft binding to the watermark.
"""

from __future__ import annotations

import base64
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import c2pa

from dubfew.errors import DubfewError, MediaError
from dubfew.marks.certificate import SigningIdentity
from dubfew.marks.sidecar import EMBEDDABLE_MEDIA_TYPES, SIDECAR_SUFFIX, credentials_path
from dubfew.utils.files import sha256_file, write_atomic
from dubfew.version import __version__

# Label of dubfew's own assertion.
RENDER_ASSERTION_LABEL = "dubfew.render"
# Version of that assertion's layout.
ASSERTION_FORMAT_VERSION = 1
# Name of the watermark's algorithm in the soft binding. It stands for the format of the watermark,
# which must not change under this name.
SOFT_BINDING_ALGORITHM = "dubfew.mouth.1"
# IPTC's term for a picture that a trained model has changed in part. It is an identifier, not an
# address, so it has http as IPTC writes it.
SYNTHETIC_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
# Uses that the output's owner does not allow: it shows a real person, who allowed a dub and not to
# be learned from. Source: CAWG, Training and Data Mining Assertion 1.1; its other two entries, data
# mining and inference, would also refuse search and subtitles.
FORBIDDEN_USES = ("cawg.ai_generative_training", "cawg.ai_training")
TRAINING_ASSERTION_LABEL = "cawg.training-mining"
_TRAINING_ASSERTION: dict[str, Any] = {
    "label": TRAINING_ASSERTION_LABEL,
    "data": {"entries": {use: {"use": "notAllowed"} for use in FORBIDDEN_USES}},
}
# Media type of a file that c2pa hashes without parsing it.
UNKNOWN_MEDIA_TYPE = "application/octet-stream"
# Settings of the c2pa library.
C2PA_SETTINGS: dict[str, Any] = {
    # Never use the network to verify.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": True},
    # dubfew adds all actions itself, and a thumbnail would put a picture of the input into the
    # output.
    "builder": {
        "thumbnail": {"enabled": False},
        "actions": {
            "auto_created_action": {"enabled": False},
            "auto_opened_action": {"enabled": False},
            "auto_placed_action": {"enabled": False},
        },
    },
    "core": {
        "backing_store_memory_threshold_in_mb": 32,
        # Pictures and sound of an MP4 or MOV file are hashed in blocks, whose hashes are in the
        # manifest. As a whole they would be read 256 MB at a time, twice at once. Smaller blocks
        # take no less memory, and each takes 32 bytes.
        "merkle_tree_chunk_size_in_kb": 8192,
        "merkle_tree_max_proofs": 0,
    },
}


@dataclass(frozen=True)
class RenderProvenance:
    """Facts about a render that its credentials record.

    Names of files and actors stay out of the credentials, as does anything about appearance.

    Attributes:
        scene: the video that was changed.
        sound: file of the speech, or None where it is the scene's own or there is no sound.
        drive: source of the mouth motion: "audio", "video", "motion" or "self".
        prior: name of the prior.
        prior_sha256: SHA-256 of the prior's weights, "" for a prior without weights.
        consent_sha256: SHA-256 of the consent record, or None without one.
        watermark: id of the watermark, or None where it was switched off.
        motion: file of the mouth motion, for the drive "motion" alone.
        others: further mouths of the same video, each with its own prior, consent and watermark.
    """

    scene: Path
    sound: Path | None
    drive: str
    prior: str
    prior_sha256: str
    consent_sha256: str | None
    watermark: str | None
    motion: Path | None = None
    others: tuple[RenderProvenance, ...] = ()

    @property
    def mouths(self) -> tuple[RenderProvenance, ...]:
        """The facts about every mouth, this one first."""
        return (self, *self.others)


def sign_video(
    file: Path, output: Path, provenance: RenderProvenance, identity: SigningIdentity
) -> tuple[str, ...]:
    """Sign a finished render before it is renamed to its place.

    Args:
        file: the finished video under its temporary name; signed in place where its container can
            hold credentials.
        output: the final name of the video; credentials beside it are written at once.
        provenance: facts about the render.
        identity: the signer.

    Returns:
        What the user should know: that the time stamp authority gave no time stamp.

    Raises:
        MediaError: The credentials cannot be created.
        OSError: The credentials cannot be written.
    """
    return _sign(file, output, _describe_render(provenance), identity)


def sign_edit(
    file: Path, output: Path, parent: Path, description: str, identity: SigningIdentity
) -> tuple[str, ...]:
    """Sign an edited copy of a video, whose own credentials become its history.

    Args:
        file: the finished copy under its temporary name.
        output: the final name of the copy.
        parent: the video that was edited.
        description: what was done, one sentence.
        identity: the signer.

    Returns:
        What the user should know, see `sign_video`.

    Raises:
        MediaError: The credentials cannot be created.
        OSError: The credentials cannot be written.
    """
    actions: list[dict[str, Any]] = [
        {"action": "c2pa.opened", "parameters": {"ingredientIds": ["scene"]}},
        {"action": "c2pa.edited", "description": description},
    ]
    manifest = _Manifest(actions, [_TRAINING_ASSERTION], {"scene": (parent, "parentOf")})
    return _sign(file, output, manifest, identity)


@dataclass(frozen=True)
class _Manifest:
    """Content of credentials that are to be signed.

    Attributes:
        actions: what was done, in C2PA's words.
        assertions: further assertions.
        ingredients: file and relationship of each input, by its name in the actions.
    """

    actions: list[dict[str, Any]]
    assertions: list[dict[str, Any]]
    ingredients: Mapping[str, tuple[Path, str]]


def _sign(
    file: Path, output: Path, manifest: _Manifest, identity: SigningIdentity
) -> tuple[str, ...]:
    """Sign a video, without a time stamp where the authority gives none; see `sign_video`."""
    try:
        _sign_in_place(file, output, manifest, identity)
    except c2pa.C2paError as error:
        if identity.timestamp_url is None:
            raise MediaError(
                f"{output} cannot be given Content Credentials ({error}): check the certificate"
            ) from error
    else:
        return ()
    # A render of hours is not lost because a server on the network does not answer.
    _sign(file, output, manifest, replace(identity, timestamp_url=None))
    return (f"the credentials have no time stamp: {identity.timestamp_url} gave none",)


def _sign_in_place(
    file: Path, output: Path, manifest: _Manifest, identity: SigningIdentity
) -> None:
    """Sign a video; see `sign_video`. A video that cannot be signed stays as it is."""
    kind = EMBEDDABLE_MEDIA_TYPES.get(output.suffix.lower())
    # Credentials are written into a copy, which then replaces the content of the file.
    with _make_builder(manifest) as builder, _make_signer(identity) as signer:
        if kind is None:
            builder.set_no_embed()
            with open(file, "rb") as source:
                # c2pa copies the file even if it embeds nothing; the copy is discarded.
                store = builder.sign(signer, UNKNOWN_MEDIA_TYPE, source, _NullStream())
        else:
            # An unnamed file disappears with the process, however that ends.
            with tempfile.TemporaryFile(dir=file.parent) as signed:
                with open(file, "rb") as source:
                    builder.sign(signer, kind, source, signed)
                signed.seek(0)
                with open(file, "rb+") as target:
                    shutil.copyfileobj(signed, target, 1 << 20)
                    target.truncate()
    if kind is None:
        write_atomic(credentials_path(output), store)


def _describe_render(provenance: RenderProvenance) -> _Manifest:
    """Describe a render: actions, assertions and ingredients."""
    # Actions in C2PA's vocabulary: the scene was opened, and its mouth edited to fit the sound.
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
        {"label": RENDER_ASSERTION_LABEL, "data": _render_assertion(provenance)},
        _TRAINING_ASSERTION,
    ]
    # Soft bindings connect the manifest with the watermarks, which survive its removal.
    marks = [each.watermark for each in provenance.mouths if each.watermark is not None]
    if marks:
        actions.append({"action": "c2pa.watermarked.bound"})
    for mark in marks:
        value = base64.b64encode(bytes.fromhex(mark)).decode()
        binding = {"alg": SOFT_BINDING_ALGORITHM, "blocks": [{"scope": {}, "value": value}]}
        assertions.append({"label": "c2pa.soft-binding", "data": binding})
    ingredients = {"scene": (provenance.scene, "parentOf")}
    if provenance.sound is not None:
        ingredients["sound"] = (provenance.sound, "inputTo")
    return _Manifest(actions, assertions, ingredients)


def _make_builder(manifest: _Manifest) -> Any:
    """Build c2pa's manifest."""
    generator = {"name": "dubfew", "version": __version__}
    actions = {"label": "c2pa.actions", "data": {"actions": manifest.actions}}
    definition = {
        "claim_generator_info": [generator],
        "assertions": [actions, *manifest.assertions],
    }
    # The builder holds native memory, so it is closed if an ingredient cannot be added.
    builder = c2pa.Builder(definition, c2pa.Context.from_dict(C2PA_SETTINGS))
    try:
        for name, (path, relationship) in manifest.ingredients.items():
            _add_ingredient(builder, path, name, relationship)
    except BaseException:
        builder.close()
        raise
    return builder


def _render_assertion(provenance: RenderProvenance) -> dict[str, Any]:
    """Return the content of dubfew's own assertion; docs/conventions.md describes it."""
    sound, motion = provenance.sound, provenance.motion
    return {
        "format_version": ASSERTION_FORMAT_VERSION,
        "version": __version__,
        "prior": {"name": provenance.prior, "sha256": provenance.prior_sha256},
        "drive": provenance.drive,
        "consent_sha256": provenance.consent_sha256,
        "watermark": provenance.watermark,
        "watermark_switched_off": provenance.watermark is None,
        # Hashes rather than names: a file's name may tell of a person or a project.
        "scene_sha256": sha256_file(provenance.scene),
        "sound_sha256": None if sound is None else sha256_file(sound),
        **({} if motion is None else {"motion_sha256": sha256_file(motion)}),
        **(
            {"mouths": [_describe_mouth(each) for each in provenance.mouths]}
            if provenance.others
            else {}
        ),
    }


def _describe_mouth(provenance: RenderProvenance) -> dict[str, Any]:
    """Return what the assertion says of one of several mouths."""
    return {
        "prior": {"name": provenance.prior, "sha256": provenance.prior_sha256},
        "drive": provenance.drive,
        "consent_sha256": provenance.consent_sha256,
        "watermark": provenance.watermark,
    }


def _add_ingredient(builder: Any, path: Path, name: str, relationship: str) -> None:
    """Add an input as an ingredient, with its own credentials if it has any."""
    suffix = path.suffix.lower()
    about: dict[str, Any] = {"title": name, "label": name, "relationship": relationship}
    beside = path.with_suffix(SIDECAR_SUFFIX)
    # Credentials beside the input.
    if suffix not in EMBEDDABLE_MEDIA_TYPES and beside.exists():
        manifest = beside.read_bytes()
        with suppress(MediaError):  # damaged credentials cannot be included
            found = _read_manifest_store(path, manifest, None)
            builder.add_resource("credentials", io.BytesIO(manifest))
            about["manifest_data"] = {"format": "application/c2pa", "identifier": "credentials"}
            about["active_manifest"] = found["active_manifest"]
            about["validation_results"] = found["validation_results"]
    # Credentials inside the input: c2pa reads them if it knows the container.
    kind = EMBEDDABLE_MEDIA_TYPES.get(suffix, suffix[1:])
    with open(path, "rb") as source:
        if kind in _readable_media_types():
            # FFmpeg reads files that c2pa does not. Such an input is added without credentials.
            with suppress(c2pa.C2paError):
                builder.add_ingredient(about, kind, source)
                return
            source.seek(0)
        builder.add_ingredient(about, UNKNOWN_MEDIA_TYPE, source)


@cache
def _readable_media_types() -> frozenset[str]:
    """Return the media types and suffixes that c2pa can read."""
    return frozenset(c2pa.Builder.get_supported_mime_types())


def _make_signer(identity: SigningIdentity) -> Any:
    """Create c2pa's signer, which asks the time stamp authority if there is one."""
    url = identity.timestamp_url
    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(
            identity.algorithm.encode(),
            identity.certificate_chain,
            identity.private_key,
            url.encode() if url else None,
        )
    )


class _NullStream(io.RawIOBase):
    """A file that discards everything written to it and keeps only its size and position."""

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
    """An input of the video.

    Attributes:
        relationship: "parentOf" (the video that was changed) or "inputTo".
        title: its title in the credentials.
        generator: program that made its own credentials, or None without credentials.
    """

    relationship: str
    title: str
    generator: str | None


@dataclass(frozen=True)
class ContentCredentials:
    """Content of a file's credentials.

    Attributes:
        place: the file that holds them, the video or the one beside it.
        state: "trusted" (valid, by a known signer), "valid" (unchanged since it was signed, by
            an unknown signer) or "invalid" (changed since, or signed wrongly).
        problems: C2PA's codes of the problems found.
        signer: name in the signer's certificate.
        issuer: name of the certificate's issuer.
        generator: program that made them, with its version.
        actions: names of C2PA's actions.
        source_type: IPTC's digital source type, or None.
        ingredients: the inputs.
        manifests: number of manifests, those of the ingredients included.
        rendering: dubfew's own assertion, of the file or of the one that it is an edit of; None
            where neither is a render of dubfew.
        signed_at: time of the signature after the time stamp authority, ISO 8601; None without a
            time stamp that fits the signature.
        is_time_trusted: whether the authority is known.
        forbidden_uses: uses that the owner does not allow, in CAWG's words.
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
    signed_at: str | None = None
    is_time_trusted: bool = False
    forbidden_uses: tuple[str, ...] = ()


class _NoCredentialsError(MediaError):
    """The file has no credentials."""


def read_credentials(path: Path | str, *, trust: Path | None = None) -> ContentCredentials | None:
    """Read and verify the Content Credentials of a file.

    Args:
        path: a video; credentials beside it are found.
        trust: file of certificates (PEM) whose signers count as known; by default none.

    Returns:
        The credentials, or None without any.

    Raises:
        MediaError: The credentials are damaged.
        DubfewError: ``trust`` is not a list of certificates.
        OSError: The file cannot be read.
    """
    path = Path(path)
    beside = path.with_suffix(SIDECAR_SUFFIX)
    # A container that can hold credentials may have them beside it all the same.
    if path.suffix.lower() in EMBEDDABLE_MEDIA_TYPES:
        with suppress(_NoCredentialsError):
            return _credentials_from_store(_read_manifest_store(path, None, trust), path)
    if beside.exists():
        return _credentials_from_store(
            _read_manifest_store(path, beside.read_bytes(), trust), beside
        )
    return None


def _read_manifest_store(path: Path, manifest: bytes | None, trust: Path | None) -> dict[str, Any]:
    """Read and verify a manifest store, as the JSON that c2pa returns.

    Raises:
        MediaError: The file has no credentials, or they are damaged.
    """
    # With separate credentials c2pa only hashes the file, so the media type does not matter.
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
    """Create c2pa's context with the trusted certificates.

    Raises:
        DubfewError: The file of certificates cannot be used.
    """
    if trust is None:
        return c2pa.Context.from_dict(C2PA_SETTINGS)
    try:
        anchors = {"user_anchors": trust.read_text("utf-8")}
        return c2pa.Context.from_dict({**C2PA_SETTINGS, "trust": anchors})
    except (OSError, UnicodeDecodeError, c2pa.C2paError) as error:
        raise DubfewError(f"{trust} is not a list of certificates ({error}): give PEM") from error


def _credentials_from_store(store: Mapping[str, Any], place: Path) -> ContentCredentials:
    """Extract the facts from a manifest store."""
    # The active manifest describes this file; the others belong to its ingredients.
    active = store["manifests"][store["active_manifest"]]
    data = _assertions_of(active)
    actions = [
        action
        for label, content in data.items()
        if label.startswith("c2pa.actions")
        for action in content.get("actions", [])
    ]
    state = str(store.get("validation_state", "Invalid")).lower()
    problems = {item["code"] for item in store.get("validation_status", [])}
    signature = active.get("signature_info", {})
    results = store.get("validation_results", {}).get("activeManifest", {})
    passed = {item["code"] for item in results.get("success", [])}
    return ContentCredentials(
        place=place,
        state=state if state in ("trusted", "valid") else "invalid",
        # The state "valid" already means that the signer is unknown.
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
        rendering=_find_rendering(store, store["active_manifest"]),
        # c2pa also shows the time of a stamp that it could not validate.
        signed_at=signature.get("time") if "timeStamp.validated" in passed else None,
        is_time_trusted="timeStamp.trusted" in passed,
        forbidden_uses=tuple(
            use
            for use, entry in data.get(TRAINING_ASSERTION_LABEL, {}).get("entries", {}).items()
            if entry.get("use") == "notAllowed"
        ),
    )


def _assertions_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a manifest's assertions by their labels."""
    return {item["label"]: item.get("data", {}) for item in manifest.get("assertions", [])}


def _find_rendering(store: Mapping[str, Any], label: str | None) -> Mapping[str, Any] | None:
    """Return dubfew's assertion of a manifest, or of the nearest one that it was edited from."""
    seen = set()
    while label in store["manifests"] and label not in seen:
        seen.add(label)
        manifest = store["manifests"][label]
        rendering = _assertions_of(manifest).get(RENDER_ASSERTION_LABEL)
        if rendering is not None:
            return dict(rendering)
        parents = [
            item.get("active_manifest")
            for item in manifest.get("ingredients", [])
            if item.get("relationship") == "parentOf"
        ]
        label = parents[0] if parents else None
    return None


def _generator_name(manifest: Mapping[str, Any]) -> str:
    """Return name and version of the program that made a manifest."""
    about = (manifest.get("claim_generator_info") or [{}])[0]
    name = about.get("name") or manifest.get("claim_generator") or "unknown"
    return f"{name} {about.get('version', '')}".strip()
