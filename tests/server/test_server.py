"""The server as its callers see it."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from dubfew.client import Client, JobSegment, ServerError
from dubfew.errors import DubfewError, MediaError
from dubfew.jobs.records import JobNotFoundError
from dubfew.server.access import add_key
from dubfew.server.options import ServeOptions
from dubfew.server.webhooks import (
    RETRY_SECONDS,
    WebhookSender,
    check_webhook_url,
    verify_webhook,
)
from tests.server.conftest import RunningServer, write_output

pytestmark = pytest.mark.slow

httpx2 = pytest.importorskip("httpx2")


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "dub.wav"
    path.write_bytes(b"sound" * 100)
    return path


def refusal(call: Any, *arguments: Any, **keywords: Any) -> tuple[int, str]:
    """The status and the kind of error of a call that is refused."""
    with pytest.raises(ServerError) as error:
        call(*arguments, **keywords)
    return error.value.status, error.value.kind


def test_from_upload_to_output(server: RunningServer, sound: Path) -> None:
    with server.client() as client:
        upload = client.upload(sound)
        job = client.render("mary", video=upload, audio=upload, open=0.8, container="mov")
        assert (job.state, job.kind, job.actor) == ("queued", "render", "mary")
        given = server.store.get(job.id).description
        assert given is not None
        assert given.options == {"open": 0.8, "device": "auto"}
        worker = threading.Thread(target=server.work)
        worker.start()
        states: list[str] = []
        found = client.wait(job.id, lambda each: states.append(each.state))
        worker.join()
        assert states[-1] == "done"
        assert found.result == {"output": "output.mov", "frames": 50}
        out = client.download(job.id, server.folder / "out.mov")
        assert out.read_bytes() == sound.read_bytes()
        assert [each.id for each in client.jobs()] == [job.id]
        metrics = httpx2.get(f"{server.url}/metrics").text
        assert 'dubfew_jobs{state="done"} 1.0' in metrics
        assert 'dubfew_http_requests_total{method="POST",status="201"} 2.0' in metrics


def test_a_failed_job_says_why(server: RunningServer, sound: Path) -> None:
    def fail(*arguments: Any) -> Any:
        raise MediaError("no face")

    with server.client() as client:
        upload = client.upload(sound)
        job = client.render("mary", video=upload, audio=upload)
        assert refusal(client.download, job.id, server.folder / "o.mp4")[0] == 409
        server.work(fail)
        with pytest.raises(ServerError, match="no face"):
            client.wait(job.id)
        assert not (server.folder / "o.mp4").exists()


def test_the_same_request_is_done_once(server: RunningServer, sound: Path) -> None:
    with server.client() as client:
        upload = client.upload(sound)
        given = {"video": upload, "audio": upload, "request_key": "take-7"}
        one = client.render("mary", **given)
        client.delete_upload(upload)  # it is not looked at again
        assert client.render("mary", **given).id == one.id
        status, _ = refusal(client.render, "mary", **given, open=0.5)
        assert status == 422
        assert len(client.jobs()) == 1


def test_keys_and_scopes(server: RunningServer, sound: Path) -> None:
    keys = {
        scope: add_key(server.store, f"{scope}-key", [scope])
        for scope in ("render", "adapt", "delete", "export")
    }
    assert refusal(server.client().actors) == (401, "AccessError")
    assert refusal(server.client("dubfew_wrong").actors) == (401, "AccessError")
    for scope, key in keys.items():
        with server.client(key) as client:
            assert [each["actor"] for each in client.actors()] == ["mary"]
            upload = client.upload(sound)
            calls: dict[str, Any] = {
                "render": lambda: client.render("mary", video=upload, audio=upload),  # noqa: B023
                "adapt": lambda: client.adapt("ann", upload),  # noqa: B023
                "export": lambda: client.export_actor("mary", "no key"),
                "delete": lambda: client.delete_actor("nobody"),
            }
            for name, call in calls.items():
                if name != scope:
                    assert refusal(call) == (403, "ScopeError")
            # With the scope the request is judged by what it asks for.
            if scope in ("render", "adapt"):
                assert calls[scope]().state == "queued"
            else:
                assert refusal(calls[scope])[0] in (404, 422)
    assert server.registry.open("mary").number == 1
    # What one key has given, another does not see.
    (job,) = server.client(keys["render"]).jobs()
    assert refusal(server.client(keys["adapt"]).job, job.id)[0] == 404
    assert refusal(server.client(keys["adapt"]).cancel, job.id)[0] == 404


def test_pages_of_other_sites_are_refused(server: RunningServer) -> None:
    url = f"{server.url}/v1/actors"
    assert httpx2.get(url, headers={"Origin": "https://example.org"}).status_code == 403
    assert httpx2.get(url, headers={"Origin": server.url}).status_code == 200
    # DNS rebinding: the name of another site that points to this machine.
    assert httpx2.get(url, headers={"Host": "example.org"}).status_code == 401


def test_limits(server: RunningServer, sound: Path) -> None:
    with server.client() as client:
        large = server.folder / "large.wav"
        large.write_bytes(bytes(200_000))
        assert refusal(client.upload, large) == (413, "TooLargeError")
        large.write_bytes(bytes(45_000))
        uploads = [client.upload(large) for _ in range(2)]
        assert refusal(client.upload, large) == (429, "QuotaError")
        client.delete_upload(uploads[0])
        client.upload(sound)
        for _ in range(5):
            job = client.render("mary", video=uploads[1], audio=uploads[1])
        assert refusal(client.render, "mary", video=uploads[1]) == (429, "QuotaError")
        assert client.cancel(job.id).state == "cancelled"
    # Nothing of what was refused stays.
    assert len([*server.store.uploads_folder().iterdir()]) == 2


def test_a_stream_without_a_length_is_cut(server: RunningServer) -> None:
    blocks = (bytes(50_000) for _ in range(1000))
    answer = httpx2.post(f"{server.url}/v1/jobs", content=blocks)
    assert answer.status_code == 413


JOB: dict[str, Any] = {"kind": "render", "actor": "mary"}


HOSTILE_BODIES: list[Any] = [
    [],
    {},
    {"kind": "sing"},
    {"kind": "render"},
    {"kind": "dub", "video": "0" * 32},
    {**JOB, "video": "../../etc/passwd"},
    {**JOB, "video": "0" * 32},
    {**JOB, "nonsense": 1},
    {**JOB, "actor": "\x00"},
    {**JOB, "actor": "a/../b"},
    {**JOB, "options": {"out": "/tmp/x.mp4"}},
    {**JOB, "options": {"report": "/tmp/x.html"}},
    {**JOB, "options": {"anyone": True}},
    {**JOB, "options": {"watermark": False}},
    {**JOB, "options": {"device": "cuda"}},
    {**JOB, "options": {"mix": "/etc/passwd"}},
    {**JOB, "options": {"transcript": "/etc/passwd"}},
    {**JOB, "options": {"open": 1e999}},
    {**JOB, "options": {"crf": "20"}},
    {**JOB, "segments": [{"start": 2, "end": 1, "audio": "0" * 32}]},
    {**JOB, "sync_mode": "bounce"},
    {**JOB, "webhook": "http://169.254.169.254/latest"},
    {**JOB, "webhook": "file:///etc/passwd"},
]


@pytest.mark.slow
def test_a_file_in_parts(server: RunningServer, sound: Path) -> None:
    """The tus protocol, by hand and by the client."""
    import httpx2

    content = sound.read_bytes()
    with server.client() as client:
        upload = client.upload_in_parts(sound, part_bytes=1 + len(content) // 3)
        assert server.store.get_upload(upload).path.read_bytes() == content
        assert server.store.get_upload(upload).path.suffix == ".wav"
    http = httpx2.Client(base_url=server.url, trust_env=False)
    told = http.options("/v1/tus")
    assert (told.status_code, told.headers["Tus-Version"]) == (204, "1.0.0")
    assert told.headers["Tus-Extension"] == "creation,termination"
    version = {"Tus-Resumable": "1.0.0"}
    assert http.post("/v1/tus", headers={"Upload-Length": "3"}).status_code == 412
    for length, status in (("x", 400), ("-1", 400), ("50001", 413), ("\u0663", 400)):
        headers = {**version, "Upload-Length": length.encode()}
        assert http.post("/v1/tus", headers=headers).status_code == status
    made = http.post("/v1/tus", headers={**version, "Upload-Length": "6"})
    place = made.headers["Location"]
    headers = {**version, "Content-Type": "application/offset+octet-stream"}

    def send(content: bytes, offset: str, **more: str) -> httpx2.Response:
        sent = {**headers, "Upload-Offset": offset, **more}
        return http.patch(place, content=content, headers=sent)

    assert send(b"abc", "0").headers["Upload-Offset"] == "3"
    assert send(b"abc", "0").status_code == 409
    assert send(b"abc", "3", **{"Content-Type": "text/plain"}).status_code == 415
    assert send(b"defg", "3").status_code == 409
    head = http.head(place, headers=version)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("3", "6")
    assert head.headers["Cache-Control"] == "no-store"
    assert send(b"def", "3").status_code == 204
    assert server.store.get_upload(place.rpartition("/")[2]).bytes == 6
    assert http.delete(place, headers=version).status_code == 204
    assert http.head(place, headers=version).status_code == 404


def test_hostile_bodies_are_refused(server: RunningServer) -> None:
    for body in HOSTILE_BODIES:
        text = json.dumps(body).replace("Infinity", "1e999")
        answer = httpx2.post(
            f"{server.url}/v1/jobs", content=text, headers={"Content-Type": "application/json"}
        )
        assert 400 <= answer.status_code < 500, body
        assert set(answer.json()["error"]) == {"type", "message"}
        assert "Traceback" not in answer.text
    assert server.store.list_jobs() == []


def test_a_scene_is_learned_from_and_dubbed(server: RunningServer, sound: Path) -> None:
    with server.client() as client:
        upload = client.upload(sound)
        job = client.dub(upload, upload, sync_mode="loop", draft=True)
        given = server.store.get(job.id).description
        assert given is not None
        assert (given.kind, given.video, given.sync_mode) == ("dub", given.audio, "loop")
        assert given.make_options().fit == "loop"
        key = add_key(server.store, "renderer", ["render"])
    assert refusal(server.client(key).dub, upload, upload)[0] == 403


def test_segments(server: RunningServer, sound: Path) -> None:
    with server.client() as client:
        upload = client.upload(sound)
        parts = (JobSegment(1, 2, upload), JobSegment(3, 4, upload, face="1", actor="mary"))
        job = client.render("mary", video=upload, segments=parts)
        given = server.store.get(job.id).description
        assert given is not None
        assert [(each.start, each.face) for each in given.segments] == [(1, None), (3, "1")]


def test_consent_is_asked_for(server: RunningServer, sound: Path) -> None:
    (server.registry.home / "policy.json").write_text('{"require_consent": true}')
    with server.client() as client:
        upload = client.upload(sound)
        status, kind = refusal(client.render, "mary", video=upload, audio=upload)
        assert (status, kind) == (403, "ConsentError")


def test_a_suspended_actor_and_a_deleted_one(server: RunningServer, sound: Path) -> None:
    with server.client() as client:
        upload = client.upload(sound)
        job = client.render("mary", video=upload, audio=upload)
        assert client.suspend_actor("mary", "asked to")["suspended"]["reason"] == "asked to"
        assert refusal(client.render, "mary", video=upload, audio=upload)[0] == 403
        assert client.actor("mary")["suspended"] is not None
        receipt = client.delete_actor("mary")
        assert receipt["format"] == "dubfew-erasure-receipt"
        assert refusal(client.actor, "mary") == (404, "ActorNotFoundError")
        assert client.job(job.id).state == "expired"
        assert refusal(client.download, job.id, server.folder / "o.mp4")[0] == 410
    with pytest.raises(JobNotFoundError):
        server.store.get_upload(upload)


class _Receiver(BaseHTTPRequestHandler):
    """Refuses the first message, and takes the second."""

    seen: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(({name.lower(): text for name, text in self.headers.items()}, body))
        self.send_response(500 if len(self.seen) == 1 else 204)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


def test_webhooks_are_signed_and_repeated(server: RunningServer, sound: Path) -> None:
    _Receiver.seen = []
    receiver = HTTPServer(("127.0.0.1", 0), _Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    with server.client() as client:
        upload = client.upload(sound)
        url = f"http://127.0.0.1:{receiver.server_port}/hook"
        job = client.render("mary", video=upload, audio=upload, webhook=url)
        server.work()
        sender = WebhookSender(server.store)
        now = time.time()
        # The server's own sender takes part, so only the outcome is looked at.
        end = time.monotonic() + 60
        while server.store.count_deliveries() != {"delivered": 1}:
            assert time.monotonic() < end
            sender.send_due(now + RETRY_SECONDS[0] + 1)
            time.sleep(0.05)
        secret = client.webhook_secret()
    receiver.shutdown()
    receiver.server_close()
    (first, _), (headers, body) = _Receiver.seen[0], _Receiver.seen[-1]
    assert len(_Receiver.seen) >= 2
    assert first["webhook-id"] == headers["webhook-id"]
    message = verify_webhook(secret, headers, body)
    assert (message["type"], message["data"]["id"]) == ("job.done", job.id)
    with pytest.raises(DubfewError, match="signature"):
        verify_webhook(secret, headers, body + b" ")
    with pytest.raises(DubfewError, match="too old"):
        verify_webhook(secret, headers, body, now=time.time() + 3600)


def test_webhooks_call_allowed_hosts_alone() -> None:
    options = ServeOptions(webhook_hosts="hooks.example.org, b.example")
    check_webhook_url("https://hooks.example.org/x", "studio", options)
    check_webhook_url("http://127.0.0.1:99/x", "local", options)
    for url in ("http://127.0.0.1/x", "https://example.org/", "https://u@evil/", "http://[::1"):
        with pytest.raises(DubfewError):
            check_webhook_url(url, "studio", options)


def test_the_page_loads_nothing_from_elsewhere(server: RunningServer) -> None:
    page = httpx2.get(f"{server.url}/docs").text
    assert "swagger" in page
    assert "https://" not in page
    assert "//cdn" not in page


def test_the_client_waits_for_a_server_that_is_away(tmp_path: Path) -> None:
    began = time.monotonic()
    words = "is 'dubfew serve' running"
    with (
        Client("http://127.0.0.1:9", away_seconds=0.5) as client,
        pytest.raises(ServerError, match=words),
    ):
        client.actors()
    assert time.monotonic() - began >= 0.2


def test_the_ten_lines_of_the_guide(
    server: RunningServer, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "serve.md").read_text()
    lines = guide.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(server.folder)
    for name in ("scene.mp4", "german.wav"):
        Path(name).write_bytes(sound.read_bytes())
    server.registry.delete("mary")

    def run(description: Any, out: Path, registry: Any, progress: Any) -> dict[str, Any]:
        if description.kind == "adapt":
            registry.create(description.actor, {"method": "lora"}, {"texture": b"content"})
            return {"actor": description.actor}
        return write_output(description, out, registry, progress)

    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            server.work(run)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        exec(lines.replace("http://127.0.0.1:8765", server.url), {})
    finally:
        stop.set()
        worker.join()
    assert Path("dubbed.mp4").read_bytes() == sound.read_bytes()
