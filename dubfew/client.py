"""A typed client of ``dubfew serve``; it needs httpx2, which the extra ``serve`` brings.

Example::

    from dubfew.client import Client

    with Client("http://127.0.0.1:8765") as client:
        scene, dub = client.upload("scene.mp4"), client.upload("dub.wav")
        job = client.render("mary", video=scene, audio=dub)
        client.wait(job.id)
        client.download(job.id, "dubbed.mp4")
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubfew.errors import DubfewError
from dubfew.utils.files import atomic_path
from dubfew.utils.import_utils import import_optional

if TYPE_CHECKING:
    import httpx2

# Time for one answer, s; a large upload may take longer in all, but not between two blocks.
ANSWER_SECONDS = 60.0
# Time that a server may be away, as when it is started again, s.
AWAY_SECONDS = 60.0
# Waiting time before a request is sent again, s; it doubles up to the second.
RETRY_SECONDS, MAX_RETRY_SECONDS = 0.2, 5.0
# Bytes of one part of an upload: what a slow line sends within a minute.
PART_BYTES = 16 << 20
# States in which a job has ended.
ENDED = frozenset({"done", "failed", "cancelled", "expired"})


class ServerError(DubfewError):
    """The server refused a request, or a job failed.

    Attributes:
        status: status of the answer; 0 for a job that failed.
        kind: name of the error's class on the server.
    """

    def __init__(self, message: str, status: int = 0, kind: str = "") -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


@dataclass(frozen=True)
class ServerJob:
    """A job on a server.

    Attributes:
        id: its id.
        kind: "render", "dub" or "adapt"; None once it has expired.
        actor: id of the actor, or None.
        state: "queued", "running", "done", "failed", "cancelled" or "expired".
        created: time at which it was given, s since 1970.
        started: time at which the last attempt began, or None.
        finished: time at which it ended, or None.
        attempts: how often it was begun.
        version: number that grows with every change.
        progress: stage, done, total, fraction, seconds_left and values, or None.
        result: facts about the result, or None.
        error: type and message of a failure, or None.
    """

    id: str
    kind: str | None
    actor: str | None
    state: str
    created: float
    started: float | None
    finished: float | None
    attempts: int
    version: int
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None

    @property
    def has_ended(self) -> bool:
        """True if nothing more will happen."""
        return self.state in ENDED


@dataclass(frozen=True)
class JobSegment:
    """A passage of a scene that gets speech of its own.

    Attributes:
        start: begin in the scene, s.
        end: end in the scene, s.
        audio: id of an upload.
        face: face in the scene, or None for the one that is most like the actor.
        actor: id of the actor, or None for the job's.
    """

    start: float
    end: float
    audio: str
    face: str | None = None
    actor: str | None = None


class Client:
    """A connection to a server.

    Requests are sent again while the server is away. A job has a key of its own, so that it is not
    given twice by that.

    Args:
        url: address of the server.
        key: a key of 'dubfew serve keys add'; None where the server needs none.
        away_seconds: time that the server may be away, s.

    Raises:
        MissingDependencyError: httpx2 is not installed.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8765",
        key: str | None = None,
        *,
        away_seconds: float = AWAY_SECONDS,
    ) -> None:
        self._httpx = import_optional("httpx2")
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._away_seconds = away_seconds
        self._http: httpx2.Client = self._httpx.Client(
            base_url=url, headers=headers, timeout=ANSWER_SECONDS, trust_env=False
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    # Files.

    def upload(self, path: Path | str) -> str:
        """Send a file.

        Args:
            path: video, sound, transcript or consent record.

        Returns:
            The id of the upload, for jobs.

        Raises:
            ServerError: The server refuses the file.
            OSError: The file cannot be read.
        """
        path = Path(path)

        def send() -> httpx2.Response:
            with open(path, "rb") as file:
                return self._http.post("/v1/uploads", files={"file": (path.name, file)})

        return str(self._repeat(send).json()["id"])

    def upload_in_parts(self, path: Path | str, *, part_bytes: int = PART_BYTES) -> str:
        """Send a file in parts (tus): after a broken connection it goes on where it was.

        Args:
            path: video, sound, transcript or consent record.
            part_bytes: bytes of one request.

        Returns:
            The id of the upload, for jobs.

        Raises:
            ServerError: The server refuses the file.
            OSError: The file cannot be read.
        """
        path = Path(path)
        version = {"Tus-Resumable": "1.0.0"}
        name = base64.b64encode(path.name.encode("utf-8", "replace")).decode()
        size = path.stat().st_size
        begin = {**version, "Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
        place = self._request("POST", "/v1/tus", headers=begin).headers["Location"]
        with open(path, "rb") as file:
            offset = 0
            while offset < size:

                def send() -> httpx2.Response:
                    # Asked for each time: of a part whose connection broke, some bytes came.
                    told = self._http.head(place, headers=version)
                    _raise_for_status(told)
                    reached = int(told.headers["Upload-Offset"])
                    file.seek(reached)
                    headers = {
                        **version,
                        "Content-Type": "application/offset+octet-stream",
                        "Upload-Offset": str(reached),
                    }
                    if reached == size:
                        return told
                    return self._http.patch(place, content=file.read(part_bytes), headers=headers)

                offset = int(self._repeat(send).headers["Upload-Offset"])
        return str(place.rpartition("/")[2])

    def delete_upload(self, upload: str) -> None:
        """Delete an upload."""
        self._request("DELETE", f"/v1/uploads/{upload}")

    # Jobs.

    def render(
        self,
        actor: str,
        *,
        video: str | None = None,
        audio: str | None = None,
        segments: Sequence[JobSegment] = (),
        sync_mode: str | None = None,
        container: str = "mp4",
        webhook: str | None = None,
        request_key: str | None = None,
        **options: Any,
    ) -> ServerJob:
        """Give a job that makes an actor speak.

        Args:
            actor: the actor's id.
            video: upload of the scene; default: the footage that the actor was learned from.
            audio: upload of the new speech; default: the scene's own sound.
            segments: passages with speech of their own, in place of ``audio``.
            sync_mode: "cut_off", "silence", "loop" or "hold", where the sound is longer than the
                picture.
            container: container of the output.
            webhook: URL that is told when the job ends.
            request_key: key of the request; the same key gives the same job.
            **options: options of ``dubfew render``, such as ``open=0.8``.

        Returns:
            The job as it waits.

        Raises:
            ServerError: The server refuses it.
        """
        body = {
            "kind": "render",
            "actor": actor,
            "video": video,
            "audio": audio,
            "segments": [_drop_none(vars(each)) for each in segments] or None,
            "sync_mode": sync_mode,
            "container": container,
            "webhook": webhook,
            "options": options,
        }
        return self._give(body, request_key)

    def dub(
        self,
        video: str,
        audio: str,
        *,
        sync_mode: str | None = None,
        container: str = "mp4",
        webhook: str | None = None,
        request_key: str | None = None,
        **options: Any,
    ) -> ServerJob:
        """Give a job that learns the actor of a scene from the scene itself, then renders.

        Args:
            video: upload of the scene.
            audio: upload of the new speech.
            sync_mode: "cut_off", "silence", "loop" or "hold", where the sound is longer than the
                picture.
            container: container of the output.
            webhook: URL that is told when the job ends.
            request_key: key of the request; the same key gives the same job.
            **options: options of ``dubfew dub``, such as ``draft=True``.

        Returns:
            The job as it waits.

        Raises:
            ServerError: The server refuses it.
        """
        body = {
            "kind": "dub",
            "video": video,
            "audio": audio,
            "sync_mode": sync_mode,
            "container": container,
            "webhook": webhook,
            "options": options,
        }
        return self._give(body, request_key)

    def adapt(
        self,
        actor: str,
        video: str,
        *,
        webhook: str | None = None,
        request_key: str | None = None,
        **options: Any,
    ) -> ServerJob:
        """Give a job that learns an actor.

        Args:
            actor: the new actor's id.
            video: upload of their footage.
            webhook: URL that is told when the job ends.
            request_key: key of the request; the same key gives the same job.
            **options: options of ``dubfew adapt``, such as ``steps=300``.

        Returns:
            The job as it waits.

        Raises:
            ServerError: The server refuses it.
        """
        body = {"kind": "adapt", "actor": actor, "video": video, "webhook": webhook}
        return self._give({**body, "options": options}, request_key)

    def job(self, job: str) -> ServerJob:
        """Return a job as it is now."""
        return _read_job(self._request("GET", f"/v1/jobs/{job}").json())

    def jobs(self, limit: int = 100) -> list[ServerJob]:
        """List the newest jobs of this key."""
        found = self._request("GET", "/v1/jobs", params={"limit": limit}).json()
        return [_read_job(each) for each in found["jobs"]]

    def cancel(self, job: str) -> ServerJob:
        """Cancel a job."""
        return _read_job(self._request("DELETE", f"/v1/jobs/{job}").json())

    def events(self, job: str) -> Iterator[ServerJob]:
        """Follow a job: yield it at once and after every change, until it has ended."""
        version = -1
        while True:
            try:
                for found in self._stream_events(job):
                    if found.version > version:
                        version = found.version
                        yield found
                    if found.has_ended:
                        return
            except self._httpx.TransportError:
                self.job(job)  # waits for the server, or gives up

    def wait(
        self, job: str, on_change: Callable[[ServerJob], object] = lambda job: None
    ) -> ServerJob:
        """Wait for the end of a job.

        Args:
            job: its id.
            on_change: function that is called with the job after every change.

        Returns:
            The job, done.

        Raises:
            ServerError: The job failed or was cancelled.
        """
        found = self.job(job)
        for found in self.events(job):
            on_change(found)
        if found.state != "done":
            error = found.error or {"type": "", "message": f"the job is {found.state}"}
            raise ServerError(error["message"], 0, error["type"])
        return found

    def download(self, job: str, path: Path | str) -> Path:
        """Write the video that a job has rendered to a file.

        Args:
            job: its id.
            path: file to write; one of that name is replaced.

        Returns:
            The file.

        Raises:
            ServerError: The job has no output.
            OSError: The file cannot be written.
        """
        path = Path(path)

        def fetch() -> httpx2.Response:
            with self._http.stream("GET", f"/v1/jobs/{job}/output") as answer:
                if answer.status_code != 200:
                    answer.read()
                    return answer
                with atomic_path(path) as temporary, open(temporary, "wb") as file:
                    for block in answer.iter_bytes():
                        file.write(block)
                return answer

        self._repeat(fetch)
        return path

    # Actors.

    def actors(self) -> list[dict[str, Any]]:
        """List all actors."""
        found: list[dict[str, Any]] = self._request("GET", "/v1/actors").json()["actors"]
        return found

    def actor(self, actor: str) -> dict[str, Any]:
        """Return an actor's revisions, consent and suspension."""
        found: dict[str, Any] = self._request("GET", _actor_path(actor)).json()
        return found

    def suspend_actor(self, actor: str, reason: str = "") -> dict[str, Any]:
        """Refuse to render and export an actor.

        Args:
            actor: id of the actor.
            reason: words for those who run the server; stored encrypted, 1000 characters at most.

        Returns:
            The actor's revisions, consent and suspension.
        """
        answer = self._request("POST", _actor_path(actor, "suspend"), body={"reason": reason})
        found: dict[str, Any] = answer.json()
        return found

    def resume_actor(self, actor: str) -> dict[str, Any]:
        """End a suspension."""
        found: dict[str, Any] = self._request("POST", _actor_path(actor, "resume")).json()
        return found

    def delete_actor(self, actor: str) -> dict[str, Any]:
        """Delete an actor and their jobs, and return the receipt."""
        found: dict[str, Any] = self._request("DELETE", _actor_path(actor)).json()["receipt"]
        return found

    def export_actor(self, actor: str, recipient: str) -> bytes:
        """Return an actor, encrypted to a public key of 'dubfew actors keygen'.

        Args:
            actor: id of the actor.
            recipient: the public key's text; only the owner of its private key can import the
                actor.

        Returns:
            Bytes of the export, for a file that `dubfew actors import` reads.
        """
        answer = self._request("POST", _actor_path(actor, "export"), body={"recipient": recipient})
        return bytes(answer.content)

    def webhook_secret(self) -> str:
        """Return the secret that signs this key's webhooks."""
        return str(self._request("GET", "/v1/webhook-secret").json()["secret"])

    # Requests.

    def _give(self, body: Mapping[str, Any], request_key: str | None) -> ServerJob:
        headers = {"Idempotency-Key": request_key or secrets.token_hex(16)}
        return _read_job(
            self._request("POST", "/v1/jobs", body=_drop_none(body), headers=headers).json()
        )

    def _stream_events(self, job: str) -> Iterator[ServerJob]:
        """Yield the events of one connection."""
        with self._http.stream("GET", f"/v1/jobs/{job}/events") as answer:
            if answer.status_code != 200:
                answer.read()
                _raise_for_status(answer)
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield _read_job(json.loads(line.removeprefix("data: ")))

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> httpx2.Response:
        return self._repeat(
            lambda: self._http.request(method, path, json=body, headers=headers, params=params)
        )

    def _repeat(self, send: Callable[[], httpx2.Response]) -> httpx2.Response:
        """Send a request again while the server is away."""
        end, pause = time.monotonic() + self._away_seconds, RETRY_SECONDS
        while True:
            try:
                answer = send()
                break
            except self._httpx.TransportError as error:
                if time.monotonic() + pause > end:
                    raise ServerError(
                        f"no answer from {self._http.base_url}: {error}; is 'dubfew serve' running?"
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, MAX_RETRY_SECONDS)
        _raise_for_status(answer)
        return answer


def _raise_for_status(answer: httpx2.Response) -> None:
    """Raise the error that an answer states."""
    if answer.status_code < 400:
        return
    try:
        error = answer.json()["error"]
        message, kind = str(error["message"]), str(error["type"])
    except (ValueError, KeyError, TypeError):
        message, kind = f"the server answered {answer.status_code}", ""
    raise ServerError(message, answer.status_code, kind)


def _read_job(facts: Mapping[str, Any]) -> ServerJob:
    return ServerJob(**{each.name: facts.get(each.name) for each in fields(ServerJob)})  # type: ignore[arg-type]


def _drop_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _actor_path(actor: str, action: str | None = None) -> str:
    from urllib.parse import quote

    path = f"/v1/actors/{quote(actor, safe='')}"
    return path if action is None else f"{path}/{action}"
