"""The policy of a home folder, and the checks of consent before adapting and rendering.

``<home>/policy.json`` is a JSON object; a missing file or key means the defaults below. It is not
encrypted and holds no personal data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from dubfew.errors import ConsentError, DubfewError
from dubfew.registry import strict_json
from dubfew.registry.consent import ConsentRecord
from dubfew.utils.language_tags import check_language_tag

POLICY_FILE_NAME = "policy.json"
# Number of bytes that are read of a policy; a longer file is cut and so refused as damaged JSON.
MAX_POLICY_BYTES = 1 << 16

# Form of every part of a purpose, as in the schema of consent records, and its description.
_PURPOSE_PATTERNS = {
    "use": (r"[a-z0-9]+(-[a-z0-9]+)*", "small letters, digits and single hyphens"),
    "language": (r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", "a language tag such as de or pt-BR"),
    "territory": (r"[A-Z]{2}", "a country as two capital letters, such as AT"),
    "project": (r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,200}", "a text on one line"),
}
# Longest use and language, characters, as in the schema. Other parts: 200.
MAX_PURPOSE_LENGTHS = {"use": 64, "language": 64}


@dataclass(frozen=True)
class RegistryPolicy:
    """Settings of one home folder.

    Attributes:
        require_consent: whether adapting and rendering need a consent record that covers the
            purpose. By default a missing record or an unstated purpose gives a note only.
    """

    require_consent: bool = False


@dataclass(frozen=True)
class RenderPurpose:
    """Purpose of a render, to be compared with the consent record; None where it is not stated.

    Attributes:
        use: kind of use, such as "dubbing".
        language: language tag (BCP 47) of the new speech.
        territory: country (ISO 3166-1 alpha-2) in which the output is used.
        project: title of the production.

    Raises:
        DubfewError: A part does not have the form that consent records use, or the language does
            not exist.
    """

    use: str | None = None
    language: str | None = None
    territory: str | None = None
    project: str | None = None

    def __post_init__(self) -> None:
        """Check the form of every part that is stated."""
        # A part in another form could never match a record, so the typing error is named here.
        for name, (form, expected) in _PURPOSE_PATTERNS.items():
            value = getattr(self, name)
            long = value is not None and len(value) > MAX_PURPOSE_LENGTHS.get(name, 200)
            if value is not None and (long or not re.fullmatch(form, value)):
                raise DubfewError(f"--{name} is {ascii(value)[:60]}: expected {expected}")
        # "German" has the form of a tag. It would look like a language without consent.
        if self.language is not None:
            check_language_tag(self.language)


def read_policy(home: Path) -> RegistryPolicy:
    """Read the policy of a home folder; without a file it is the default.

    Raises:
        DubfewError: The file exists and is not a policy. It is never ignored, because it may
            demand something.
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
    # Unknown keys are refused: a misspelled demand must not be lost.
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
    """Check that an actor may be adapted.

    Args:
        actor: the actor's id.
        consent: the consent record, or None without one.
        policy: the policy of the home folder.
        day: today in UTC.

    Returns:
        A note for the user, one line, or "".

    Raises:
        ConsentError: The record is of a minor or not valid on that day, or it is missing and
            the policy requires one.
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
    """Check that an actor may be rendered for a purpose.

    A part of the purpose that is not stated cannot be checked. By default a note names it; under
    the policy's ``require_consent`` the render is refused.

    Args:
        actor: the actor's id.
        consent: the consent record, or None without one.
        purpose: what the render is for.
        policy: the policy of the home folder.
        day: today in UTC.

    Returns:
        A note for the user, one line, or "".

    Raises:
        ConsentError: The consent does not cover the purpose, or the policy requires more.
    """
    # Without a record nothing can be compared.
    if consent is None:
        if policy.require_consent:
            raise ConsentError(
                f"{actor!r} has no consent record, and the policy requires one: "
                "'dubfew consent attach' adds it"
            )
        return f"no consent of {actor!r} was recorded"
    consent.check_valid(day, repr(actor))
    # Compare every part that the record restricts; collect those that are not stated.
    unstated = []
    for name, allowed in (
        ("use", consent.uses),
        ("language", consent.languages),
        ("territory", consent.territories),
        ("project", consent.projects),
    ):
        stated = getattr(purpose, name)
        if allowed is None or "*" in allowed:
            continue
        if stated is None:
            unstated.append(f"--{name}")
        elif not (consent.covers_language(stated) if name == "language" else stated in allowed):
            raise ConsentError(
                f"{actor!r}: the consent does not cover the {name} {stated!r}, only "
                f"{', '.join(allowed)[:200]}: ask the rights holder for more"
            )
    if not unstated:
        return ""
    # Name the options that would state the missing parts.
    missing = " and ".join(
        [", ".join(unstated[:-1]), unstated[-1]] if len(unstated) > 1 else unstated
    )
    if policy.require_consent:
        raise ConsentError(
            f"{actor!r}: the consent is limited and the policy requires it to be checked: give "
            f"{missing}"
        )
    return f"not checked against the consent, as not said: {missing}"
