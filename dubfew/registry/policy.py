"""What this house demands, and whether an actor may be used for what is asked.

``<home>/policy.json`` is a JSON object; without it, or without a key of it, the defaults below
hold. It is not encrypted and names nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from dubfew.errors import ConsentError, DubfewError
from dubfew.registry import strict_json
from dubfew.registry.consent import ConsentRecord

POLICY_FILE_NAME = "policy.json"
MAX_POLICY_BYTES = 1 << 16

# The forms that the schema of consent gives its entries.
_PURPOSE_PATTERNS = {
    "use": (r"[a-z0-9]+(-[a-z0-9]+)*", "small letters, digits and single hyphens"),
    "language": (r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", "a language tag such as de or pt-BR"),
    "territory": (r"[A-Z]{2}", "a country as two capital letters, such as AT"),
    "project": (r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,200}", "a text on one line"),
}
MAX_PURPOSE_LENGTHS = {"use": 64, "language": 64}


@dataclass(frozen=True)
class RegistryPolicy:
    """Settings of one home folder.

    Attributes:
        require_consent: learn and render nobody without a record that covers all that is asked.
    """

    require_consent: bool = False


@dataclass(frozen=True)
class RenderPurpose:
    """What a render is for. None: not said."""

    use: str | None = None
    language: str | None = None
    territory: str | None = None
    project: str | None = None

    def __post_init__(self) -> None:
        """Raises DubfewError where an entry has not the form that records give it."""
        for name, (form, expected) in _PURPOSE_PATTERNS.items():
            value = getattr(self, name)
            long = value is not None and len(value) > MAX_PURPOSE_LENGTHS.get(name, 200)
            if value is not None and (long or not re.fullmatch(form, value)):
                raise DubfewError(f"--{name} is {ascii(value)[:60]}: expected {expected}")


def read_policy(home: Path) -> RegistryPolicy:
    """The policy of a home folder.

    Raises:
        DubfewError: the file is there and is not a policy: what it demands must not be ignored.
    """
    path = home / POLICY_FILE_NAME
    try:
        with open(path, "rb") as file:
            found = strict_json.parse_strict_json(file.read(MAX_POLICY_BYTES))
    except FileNotFoundError:
        return RegistryPolicy()
    except OSError as error:
        raise DubfewError(
            f"the policy {path} cannot be read ({error.strerror}): check its permissions"
        ) from error
    except ValueError as error:
        raise DubfewError(f"the policy {path} is damaged ({error}): correct or remove it") from None
    known = {field.name for field in fields(RegistryPolicy)}
    if not (
        isinstance(found, dict)
        and found.keys() <= known
        and all(isinstance(value, bool) for value in found.values())
    ):
        raise DubfewError(
            f"the policy {path} is {ascii(found)[:60]}: expected an object with true or false for "
            f"{', '.join(sorted(known))}"
        )
    return RegistryPolicy(**found)


def check_learning_allowed(
    actor: str, consent: ConsentRecord | None, policy: RegistryPolicy, day: date
) -> str:
    """See that an actor may be learned.

    Returns:
        What the user should know, one line, or "".

    Raises:
        ConsentError: the consent is of a minor or not valid on that day, or there is none and the
            policy demands one.
    """
    if consent is not None:
        consent.check_valid(day, repr(actor))
        return ""
    if policy.require_consent:
        raise ConsentError(
            f"{actor!r} has no consent record, and the policy requires one: give it with --consent"
        )
    return f"no consent of {actor!r} was recorded"


def check_render_allowed(
    actor: str,
    consent: ConsentRecord | None,
    purpose: RenderPurpose,
    policy: RegistryPolicy,
    day: date,
) -> str:
    """See that an actor may be rendered for a purpose.

    What the purpose does not say cannot be checked: by default that is said, under the policy's
    ``require_consent`` it is refused.

    Returns:
        What the user should know, one line, or "".

    Raises:
        ConsentError: the consent does not cover it.
    """
    if consent is None:
        if policy.require_consent:
            raise ConsentError(
                f"{actor!r} has no consent record, and the policy requires one: "
                "'dubfew consent attach' adds it"
            )
        return f"no consent of {actor!r} was recorded"
    consent.check_valid(day, repr(actor))
    unsaid = []
    for name, allowed in (
        ("use", consent.uses),
        ("language", consent.languages),
        ("territory", consent.territories),
        ("project", consent.projects),
    ):
        wanted = getattr(purpose, name)
        if allowed is None or "*" in allowed:
            continue
        if wanted is None:
            unsaid.append(f"--{name}")
        elif not (consent.covers_language(wanted) if name == "language" else wanted in allowed):
            raise ConsentError(
                f"{actor!r}: the consent does not cover the {name} {wanted!r}, only "
                f"{', '.join(allowed)[:200]}: ask the rights holder for more"
            )
    if not unsaid:
        return ""
    missing = " and ".join([", ".join(unsaid[:-1]), unsaid[-1]] if len(unsaid) > 1 else unsaid)
    if policy.require_consent:
        raise ConsentError(
            f"{actor!r}: the consent is limited and the policy requires it to be checked: say "
            f"{missing}"
        )
    return f"not checked against the consent, as not said: {missing}"
