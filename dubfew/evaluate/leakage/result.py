"""What a leak test found, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubfew.evaluate.leakage.statistics import SIGNIFICANCE_LEVEL, IdentityShift, PriorShift

# What a mouth was painted with. A stranger is whoever is next among the faces painted into.
PAINT_CONDITIONS: Mapping[str, str] = {
    "before": "the prior, a stranger's references",
    "texture": "the actor's texture on the mesh, no network",
    "delta": "the prior with the actor's delta, a stranger's references",
    "adapter": "all that is stored",
    "others": "all that is stored of the other actors",
    "after": "what was left after the deletion",
}
VERDICT_NO_NEARER, VERDICT_NEARER = "no nearer than strangers", "nearer than strangers"
VERDICT_LEAK, VERDICT_CANNOT_TELL = "leak", "cannot tell"


@dataclass(frozen=True)
class ActorLeak:
    """One actor.

    Attributes:
        name: id, or the video's name without its ending.
        trained: whether the prior learned from this very file.
        own: mean Euclidean distance of the actor's own pictures from each other.
        strangers: of strangers' pictures from the actor's.
        distance: of strangers' faces from the actor's, as they are ("unpainted") and with mouths
            painted under the `PAINT_CONDITIONS`.
        lean: of the same pictures towards the actor, see `IdentityShift`.
        scene: of frames of the actor's own footage from the same frames painted, as papers
            measure it; most of such a frame is not painted.
        files_read: that could be opened after the deletion, in the store ("store") and in a copy
            of before with the keys of after ("copy").
        refused: what the attempts were answered, in both.
    """

    name: str
    trained: bool
    own: float
    strangers: float
    distance: dict[str, float]
    lean: dict[str, float]
    scene: dict[str, float]
    files_read: dict[str, int]
    refused: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class LeakResult:
    """What a leak test found.

    Attributes:
        verdict: "no nearer than strangers", "nearer than strangers", "leak" or "cannot tell".
        line: the verdict and what it rests on.
        actors: one by one.
        leans: of all actors under the `PAINT_CONDITIONS`.
        same_pictures: whether those of after the deletion are those of before the adaptation, bit
            for bit.
        prior: whether the prior alone leans towards people whom it learned from, with a stranger's
            references ("before") and with such as show nobody ("blank").
        people: how many were compared with.
        faces: whose were painted into.
        embedding: that tells faces apart.
        sheet: what was decoded, as a picture; None if it was not asked for.
        seconds: adapt, paint, total.
    """

    verdict: str
    line: str
    actors: tuple[ActorLeak, ...]
    leans: dict[str, IdentityShift]
    same_pictures: bool
    prior: dict[str, PriorShift]
    people: int
    faces: tuple[str, ...]
    embedding: str
    sheet: Path | None
    seconds: dict[str, float]


def decide_verdict(
    shifts: Mapping[str, IdentityShift], recovered_actors: Sequence[str], same_pictures: bool
) -> tuple[str, str]:
    """The verdict and its line.

    Args:
        shifts: under "adapter" and "after".
        recovered_actors: actors of whom something could be opened after their deletion.
        same_pictures: see `LeakResult`.
    """
    known, after = shifts["adapter"], shifts["after"]
    same = "pictures are those of before the adaptation, bit for bit"
    facts = [
        f"{', '.join(recovered_actors) or 'nothing'} could be opened",
        same if same_pictures else "pictures are not those of before the adaptation",
        f"lean {after.mean:+.4f}, where at random {after.usual:+.4f} is usual (p {after.p:.2f})",
        f"with the adapter {known.mean:+.4f} (p {known.p:.3f})",
        f"{after.actors} actors",
    ]
    if recovered_actors or not same_pictures:
        verdict = VERDICT_LEAK
    elif after.p < SIGNIFICANCE_LEVEL:
        verdict = VERDICT_NEARER
        facts.append("so were they before: it is the prior, or chance, and nothing that was stored")
    elif not known.p < SIGNIFICANCE_LEVEL:
        verdict = VERDICT_CANNOT_TELL
        facts.append("too few people: not even an adapter that is there shows for certain")
    else:
        verdict = VERDICT_NO_NEARER
    return verdict, f"after deletion: {verdict}: {'; '.join(facts)}"


def format_leak_result(result: LeakResult) -> str:
    """For people: the actors, the conditions, the prior, and the verdict as the last line."""
    columns = ("before", "texture", "delta", "adapter", "after")
    names = [f"{each.name}{' *' if each.trained else ''}" for each in result.actors]
    wide = max(map(len, [*names, "actor"]))
    header = ["own", "stranger", "bare", *columns]
    rows = [
        f"distance of strangers' faces from the actor's ({result.embedding}), bare and painted with"
    ]
    rows.append(f"{'actor':<{wide}}" + "".join(f"{title:>10}" for title in header))
    for name, each in zip(names, result.actors, strict=True):
        shown = [each.own, each.strangers, each.distance["unpainted"]]
        shown += [each.distance[column] for column in columns]
        rows.append(f"{name:<{wide}}" + "".join(f"{value:>10.3f}" for value in shown))
    if any(each.trained for each in result.actors):
        rows.append("* the prior learned from this file")
    rows += ["", f"{'painted with':<58}{'lean':>9}{'usual':>9}{'p':>8}{'named':>7}{'chance':>8}"]
    for condition, what in PAINT_CONDITIONS.items():
        if condition in result.leans:
            lean = result.leans[condition]
            rows.append(
                f"{what:<58}{lean.mean:>+9.4f}{lean.usual:>+9.4f}{lean.p:>8.4f}"
                f"{lean.named:>7.2f}{lean.chance:>8.2f}"
            )
    for condition, found in result.prior.items():
        means = "a stranger's references" if condition == "before" else "no references"
        rows.append(
            f"the prior alone, {means}: leans {found.difference:+.4f} more towards the "
            f"{found.learned} people it learned from than towards {found.others} others "
            f"(p {found.p:.2f})"
        )
    return "\n".join([*rows, "", result.line])
