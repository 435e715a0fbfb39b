"""The result of a leak test, its verdict, and its table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubfew.evaluate.leakage.statistics import SIGNIFICANCE_LEVEL, IdentityShift, PriorShift

# Conditions under which mouths are painted, and their labels in the table. The stranger is the
# person who lends references to the scene.
PAINT_CONDITIONS: Mapping[str, str] = {
    "before": "the prior, a stranger's references",
    "texture": "the actor's texture on the mesh, no network",
    "delta": "the prior with the actor's delta, a stranger's references",
    "adapter": "all that is stored",
    "others": "all that is stored of the other actors",
    "after": "what was left after the deletion",
}
# Conditions whose distances have a column in the table, in its order.
TABLE_COLUMNS = ("before", "texture", "delta", "adapter", "after")
VERDICT_NO_NEARER, VERDICT_NEARER = "no nearer than strangers", "nearer than strangers"
VERDICT_LEAK, VERDICT_CANNOT_TELL = "leak", "cannot tell"


@dataclass(frozen=True)
class ActorLeak:
    """Measurements of one deleted actor. All distances are those of the face embedding.

    Attributes:
        name: id of the actor, or the video's name without its suffix.
        in_training_set: whether the prior was trained on this very file.
        self_distance: mean distance between pictures of the actor.
        stranger_distance: mean distance of strangers' pictures from the actor's.
        distance: mean distance of strangers' scenes from the actor, untouched ("unpainted") and
            painted under each of the `PAINT_CONDITIONS`.
        identity_shift: shift of the same pictures towards the actor, by condition; see
            `IdentityShift`.
        own_scene_distance: mean distance between frames of the actor's own footage and the same
            frames painted ("before", "adapter"). Papers measure identity so, but most of such a
            frame is not painted.
        files_read: number of files that could be opened after the deletion, in the registry
            ("store") and in an earlier copy of it with the keys that are left ("copy").
        refused: names of the errors that the other attempts raised, for both.
    """

    name: str
    in_training_set: bool
    self_distance: float
    stranger_distance: float
    distance: dict[str, float]
    identity_shift: dict[str, float]
    own_scene_distance: dict[str, float]
    files_read: dict[str, int]
    refused: dict[str, tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        """Return the fields under the keys that JSON output has for them."""
        return {
            "name": self.name,
            "trained": self.in_training_set,
            "own": self.self_distance,
            "strangers": self.stranger_distance,
            "distance": self.distance,
            "lean": self.identity_shift,
            "scene": self.own_scene_distance,
            "files_read": self.files_read,
            "refused": self.refused,
        }


@dataclass(frozen=True)
class LeakResult:
    """Result of a leak test.

    Attributes:
        verdict: "no nearer than strangers", "nearer than strangers", "leak" or "cannot tell".
        line: the verdict with its reasons, on one line.
        actors: measurements of each actor.
        identity_shifts: shift over all actors under each of the `PAINT_CONDITIONS`.
        same_pictures: whether the pictures after the deletion equal those before the adaptation,
            bit for bit.
        prior_shifts: shift of the prior alone towards the people whom it was trained on, with a
            stranger's references ("before") and with references that show no person ("blank").
        num_people: number of people whose faces were compared with.
        scenes: names of the people in whose scenes mouths were painted.
        embedding: name of the face embedding.
        sheet: picture of what was decoded; None if it was not asked for.
        seconds: seconds of the stages: adapt, paint, total.
    """

    verdict: str
    line: str
    actors: tuple[ActorLeak, ...]
    identity_shifts: dict[str, IdentityShift]
    same_pictures: bool
    prior_shifts: dict[str, PriorShift]
    num_people: int
    scenes: tuple[str, ...]
    embedding: str
    sheet: Path | None
    seconds: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the fields under the keys that JSON output has for them."""
        return {
            "verdict": self.verdict,
            "line": self.line,
            "actors": [actor.to_json() for actor in self.actors],
            "leans": {name: shift.to_json() for name, shift in self.identity_shifts.items()},
            "same_pictures": self.same_pictures,
            "prior": {name: dataclasses.asdict(each) for name, each in self.prior_shifts.items()},
            "people": self.num_people,
            "faces": self.scenes,
            "embedding": self.embedding,
            "sheet": self.sheet,
            "seconds": self.seconds,
        }


def decide_verdict(
    shifts: Mapping[str, IdentityShift], recovered_actors: Sequence[str], same_pictures: bool
) -> tuple[str, str]:
    """Decide what a leak test found.

    Args:
        shifts: shifts under the conditions "adapter" and "after".
        recovered_actors: names of actors of whom a file could be opened after their deletion.
        same_pictures: see `LeakResult`.

    Returns:
        The verdict, and one line with its reasons.
    """
    known, after = shifts["adapter"], shifts["after"]
    same = "pictures are those of before the adaptation, bit for bit"
    # Facts in the order of their weight.
    facts = [
        f"{', '.join(recovered_actors) or 'nothing'} could be opened",
        same if same_pictures else "pictures are not those of before the adaptation",
        f"identity shift {after.mean:+.4f}, where chance stays below {after.null_p95:+.4f} in 95 % "
        f"of cases (p {after.p:.2f})",
        f"with the adapter {known.mean:+.4f} (p {known.p:.3f})",
        f"{after.actors} actors",
    ]
    # An opened file or another picture is a leak, whatever the statistics say.
    if recovered_actors or not same_pictures:
        verdict = VERDICT_LEAK
    # The pictures are those of the prior: it knew the actor before, or it is chance.
    elif after.p < SIGNIFICANCE_LEVEL:
        verdict = VERDICT_NEARER
        facts.append("so were they before: it is the prior, or chance, and nothing that was stored")
    # A test that cannot see a whole adapter cannot rule out a trace of one.
    elif not known.p < SIGNIFICANCE_LEVEL:
        verdict = VERDICT_CANNOT_TELL
        facts.append("too few people: not even an adapter that is there shows for certain")
    else:
        verdict = VERDICT_NO_NEARER
    return verdict, f"after deletion: {verdict}: {'; '.join(facts)}"


def format_leak_result(result: LeakResult) -> str:
    """Format a result for people: actors, conditions, prior, and the verdict as the last line."""
    parts = [
        *_format_distances(result),
        "",
        *_format_shifts(result.identity_shifts),
        *_format_prior_shifts(result.prior_shifts),
        "",
        result.line,
    ]
    return "\n".join(parts)


def _format_distances(result: LeakResult) -> list[str]:
    """Table of each actor's distances."""
    names = [f"{each.name}{' *' if each.in_training_set else ''}" for each in result.actors]
    width = max(map(len, [*names, "actor"]))
    header = ["own", "stranger", "bare", *TABLE_COLUMNS]
    rows = [
        f"distance of strangers' faces from the actor's ({result.embedding}), bare and painted "
        "with",
        f"{'actor':<{width}}" + "".join(f"{title:>10}" for title in header),
    ]
    for name, each in zip(names, result.actors, strict=True):
        values = [each.self_distance, each.stranger_distance, each.distance["unpainted"]]
        values += [each.distance[column] for column in TABLE_COLUMNS]
        rows.append(f"{name:<{width}}" + "".join(f"{value:>10.3f}" for value in values))
    if any(each.in_training_set for each in result.actors):
        rows.append("* the prior was trained on this file")
    return rows


def _format_shifts(shifts: Mapping[str, IdentityShift]) -> list[str]:
    """Table of the identity shift under each condition."""
    rows = [
        f"{'painted with':<58}{'shift':>9}{'null p95':>9}{'p':>8}{'top-1':>7}{'chance':>8}",
    ]
    for condition, label in PAINT_CONDITIONS.items():
        if condition in shifts:
            shift = shifts[condition]
            rows.append(
                f"{label:<58}{shift.mean:>+9.4f}{shift.null_p95:>+9.4f}{shift.p:>8.4f}"
                f"{shift.top1_rate:>7.2f}{shift.chance_rate:>8.2f}"
            )
    return rows


def _format_prior_shifts(shifts: Mapping[str, PriorShift]) -> list[str]:
    """Sentences about the people whom the prior was trained on."""
    rows = []
    for condition, shift in shifts.items():
        references = "a stranger's references" if condition == "before" else "no references"
        rows.append(
            f"the prior alone, {references}: shifted {shift.difference:+.4f} more towards the "
            f"{shift.learned} people it was trained on than towards {shift.others} others "
            f"(p {shift.p:.2f})"
        )
    return rows
