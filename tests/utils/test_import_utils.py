"""Imports of optional packages."""

from __future__ import annotations

import json

import pytest

from dubfew.errors import MissingDependencyError
from dubfew.utils import import_utils


def test_an_optional_package_is_imported_or_its_installation_explained() -> None:
    present = import_utils.OptionalPackage(
        "json", "json-package", "reading", "pip install json-package", "training"
    )
    missing = import_utils.OptionalPackage(
        "no_such", "no-such", "testing", "pip install no-such", "training"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(import_utils.OPTIONAL_PACKAGES, "json", present)
        patch.setitem(import_utils.OPTIONAL_PACKAGES, "no_such", missing)
        assert import_utils.import_optional("json") is json
        # pip has no record of a distribution of that name.
        assert import_utils.installed_version("json") == "unknown"
        assert import_utils.installed_version("no_such") is None
        with pytest.raises(MissingDependencyError, match=r"testing.*pip install no-such"):
            import_utils.import_optional("no_such")
