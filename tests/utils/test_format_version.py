"""The gate for format versions."""

from __future__ import annotations

import pytest

from dubfew.errors import ArtefactError, AssetError
from dubfew.utils.format_version import check_format_version


@pytest.mark.parametrize("version", [1, 2, 3])
def test_known_versions_pass(version):
    assert check_format_version(version, 3, "a file") == version


def test_a_newer_version_names_both_versions_and_the_remedy():
    with pytest.raises(AssetError, match=r"a file .*4.*3.*update dubfew"):
        check_format_version(4, 3, "a file", AssetError)


@pytest.mark.parametrize("version", [0, -1, 1.5, "1", None, True, [1]])
def test_anything_else_is_refused(version):
    with pytest.raises(ArtefactError, match="a file"):
        check_format_version(version, 3, "a file")
