"""Actors lent to the machines of a cluster, and the outputs that come back from there.

A machine that renders for this one has no keys of it. Its process makes a pair of keys for each
job, and gets the actors of that job sealed to it. It writes a video that is neither signed nor
logged; this machine does both, with its own certificate and log, before the video takes its place.
"""

from __future__ import annotations

import base64
import dataclasses
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dubfew.errors import DubfewError
from dubfew.jobs.description import JobDescription
from dubfew.jobs.running import list_job_actors
from dubfew.marks.certificate import load_signing_identity
from dubfew.marks.credentials import RenderProvenance
from dubfew.registry import Registry, Revision
from dubfew.registry.policy import RenderPurpose
from dubfew.render.publish import sign_and_log

# Field of an outcome that holds the facts for signature and log.
PROVENANCE_KEY = "provenance"


def unsigned_path(out: Path) -> Path:
    """Return the file that a borrowing machine writes in place of an output."""
    return out.with_name(f".{out.stem}.unsigned{out.suffix}")


class ActorLender:
    """Lends the actors of some jobs, and publishes what was rendered with them.

    Args:
        jobs: the jobs that may ask, by their ids.
        registry: registry that holds the actors.
    """

    def __init__(self, jobs: Mapping[str, JobDescription], registry: Registry) -> None:
        self._jobs, self._registry = dict(jobs), registry
        self._lent: dict[str, list[Revision]] = {}
        # Questions may come from several threads.
        self._lock = threading.Lock()

    def answer(self, question: Any) -> dict[str, Any]:
        """Answer a process that asks for the actors of its job.

        Args:
            question: ``id`` of the job, and the public ``key`` of the process.

        Returns:
            ``actors``, sealed, as Base64; or ``error``, why not.
        """
        try:
            with self._lock:
                name, key = str(question["id"]), str(question["key"])
                job = self._jobs[name]
                revision = job.options.get("revision")
                lent, sealed = [], []
                for actor in list_job_actors(job):
                    opened = self._registry.open(actor, revision)
                    # As at its own machine: what may not be rendered is not lent.
                    self._registry.check_render(opened, _find_purpose(job))
                    sealed.append(self._registry.lend(actor, key, opened.number))
                    lent.append(opened)
                self._lent[name] = lent
                return {"actors": [base64.b64encode(each).decode() for each in sealed]}
        except (DubfewError, KeyError, TypeError, OSError) as error:
            return {"error": " ".join(str(error).split()) or type(error).__name__}

    def publish(self, name: str, out: Path, result: Mapping[str, Any]) -> dict[str, Any]:
        """Sign and log a finished output, and put it into its place.

        Args:
            name: id of the job.
            out: the output.
            result: what the borrowing process says of it.

        Returns:
            The facts about the output, as of a render at this machine.

        Raises:
            DubfewError: An actor was deleted or suspended meanwhile, or the output cannot be
                signed or logged. There is no output then.
        """
        facts, file = dict(result), unsigned_path(out)
        try:
            job, (first, *others) = self._jobs[name], self._lent.pop(name)
            rendering = provenance_from_json(facts.pop(PROVENANCE_KEY))
            consents = [self._registry.consent(r.actor, r.number) for r in (first, *others)]
            # Whose consent it was is this machine's knowledge, whatever the other one says.
            mouths = [
                dataclasses.replace(
                    mouth, others=(), consent_sha256=consent.sha256 if consent else None
                )
                for mouth, consent in zip(rendering.mouths, consents, strict=True)
            ]
            notes = sign_and_log(
                file,
                out,
                dataclasses.replace(mouths[0], others=tuple(mouths[1:])),
                load_signing_identity(self._registry.home),
                _find_purpose(job),
                self._registry,
                first,
                anyone=bool(job.options.get("anyone", False)),
                others=others,
            )
            os.replace(file, out)
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise DubfewError(
                f"what came back for {name!r} cannot be published: {error}"
            ) from error
        finally:
            with suppress(OSError):
                file.unlink(missing_ok=True)
        facts["output"] = out.name
        facts["note"] = "; ".join(filter(None, [facts.get("note"), *notes]))
        return facts


def provenance_to_json(rendering: RenderProvenance) -> dict[str, Any]:
    """Make plain values of the facts about a render."""
    fields = {name: getattr(rendering, name) for name in _PROVENANCE_FIELDS}
    for name in _PROVENANCE_PATHS:
        fields[name] = None if fields[name] is None else str(fields[name])
    return {**fields, "others": [provenance_to_json(each) for each in rendering.others]}


def provenance_from_json(fields: Mapping[str, Any]) -> RenderProvenance:
    """Read what `provenance_to_json` made.

    Raises:
        TypeError: It is something else.
    """
    found = dict(fields)
    for name in _PROVENANCE_PATHS:
        found[name] = None if found[name] is None else Path(found[name])
    others = tuple(provenance_from_json(each) for each in found.pop("others"))
    return RenderProvenance(**found, others=others)


_PROVENANCE_PATHS = ("scene", "sound", "motion")
_PROVENANCE_FIELDS = tuple(
    each.name for each in dataclasses.fields(RenderProvenance) if each.name != "others"
)


def _find_purpose(job: JobDescription) -> RenderPurpose:
    """Find what a job is for, as its options say."""
    words = ("use", "language", "territory", "project")
    return RenderPurpose(**{word: job.options.get(word) for word in words})
