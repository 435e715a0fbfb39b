"""Routes that receive and delete files.

FastAPI comes with the extra ``serve`` and is imported inside functions. It reads annotations when a
route is made, so this module has no ``from __future__ import annotations``.
"""

import hashlib
import os
import secrets
from typing import Any

from dubfew.jobs.records import QuotaError
from dubfew.jobs.store import ID_BYTES, JobStore
from dubfew.server.access import ApiCaller
from dubfew.server.options import ServeOptions
from dubfew.server.requests import check_upload_name
from dubfew.server.routing import error_responses, make_access

UPLOAD_PATH = "/v1/uploads"
# Bytes of an upload that are copied at a time.
COPY_BYTES = 1 << 20


def add_upload_routes(application: Any, store: JobStore, options: ServeOptions) -> None:
    """Add what receives and deletes files.

    Args:
        application: FastAPI's application.
        store: the queue, which records the uploads.
        options: options of the server; they limit size and number of bytes.
    """
    from fastapi import UploadFile
    from fastapi.responses import Response

    need = make_access(store, options)

    @application.post(
        UPLOAD_PATH, status_code=201, tags=["uploads"], responses=error_responses(429)
    )
    def upload(file: UploadFile, caller: ApiCaller = need()) -> dict[str, Any]:
        """Receive a video, a sound, a transcript or a consent record (multipart/form-data)."""
        # By now the body lies in a temporary file; the middleware has cut off one that is longer
        # than a single upload may be.
        stored = store.count_upload_bytes(caller.owner)
        limit = round(options.max_stored * 1e6)
        if stored + (file.size or 0) > limit:
            raise QuotaError(
                f"{stored / 1e6:.0f} MB are stored, of {limit / 1e6:g} MB at most: delete an upload"
            )
        # The server names the file; of the caller's name only the ending is used, because readers
        # tell formats by it.
        name = secrets.token_hex(ID_BYTES) + check_upload_name(file.filename)
        path = store.uploads_folder() / name
        digest, count = hashlib.sha256(), 0
        try:
            # "x" never writes through a link or over a file that is there already.
            with open(path, "xb") as target:
                os.chmod(path, 0o600)
                while block := file.file.read(COPY_BYTES):
                    target.write(block)
                    digest.update(block)
                    count += len(block)
                target.flush()
                os.fsync(target.fileno())
            made = store.add_upload(caller.owner, path, name, count, digest.hexdigest())
        # Also where the connection breaks or the server stops: no file is left that no record
        # knows.
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return {"id": made.id, "bytes": made.bytes, "sha256": made.sha256}

    @application.delete(
        UPLOAD_PATH + "/{upload}",
        status_code=204,
        tags=["uploads"],
        responses=error_responses(404),
    )
    def delete_upload(upload: str, caller: ApiCaller = need()) -> Response:
        """Delete an upload. A job that still needs it fails."""
        store.delete_upload(store.get_upload(upload, caller.owner).id)
        return Response(status_code=204)
