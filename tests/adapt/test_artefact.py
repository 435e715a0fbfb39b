"""Files of an actor, intact and damaged."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubfew.adapt.artefact import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FORMAT_VERSION,
    ADAPTER_REFERENCES_FILE,
    ADAPTER_STYLE_FILE,
    ADAPTER_TEXTURE_FILE,
    ADAPTER_TRACK_FILE,
    ADAPTER_WEIGHTS_FILE,
    ActorAdapter,
)
from dubfew.errors import ArtefactError, DubfewError, RegistryError
from dubfew.reconstruction.track import Track
from dubfew.references.footage import FOOTAGE_ARRAY_NAMES
from dubfew.registry import Registry
from tests.adapt.toys import make_toy_adapter, train_toy_adapter

NAMES = (
    ADAPTER_CONFIG_FILE,
    ADAPTER_WEIGHTS_FILE,
    ADAPTER_TEXTURE_FILE,
    ADAPTER_REFERENCES_FILE,
    ADAPTER_STYLE_FILE,
    ADAPTER_TRACK_FILE,
)


@pytest.fixture(scope="module")
def adapter(prior, footage) -> ActorAdapter:
    return make_toy_adapter(prior, footage, "lora", train_toy_adapter(prior, footage, "lora", 0))


@pytest.fixture(scope="module")
def files(adapter) -> dict[str, bytes]:
    return adapter.to_files()


@pytest.mark.slow
def test_everything_comes_back(adapter, files):
    assert tuple(files) == NAMES
    again = ActorAdapter.from_files(files)
    assert again.config == {"format_version": ADAPTER_FORMAT_VERSION, **adapter.config}
    for name in FOOTAGE_ARRAY_NAMES:
        ours, theirs = getattr(adapter.references, name), getattr(again.references, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    torch.testing.assert_close(again.texture, adapter.texture, atol=1e-3, rtol=1e-3)
    assert again.texture.dtype == torch.float32
    assert again.style.to_bytes() == adapter.style.to_bytes()
    assert Track.from_bytes(again.track_bytes, "track").to_bytes() == adapter.track_bytes


def test_the_files_are_half_precision(adapter, files):
    assert len(files[ADAPTER_TEXTURE_FILE]) == pytest.approx(2 * adapter.texture.numel(), abs=200)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(files, name):
    with pytest.raises(ArtefactError, match=name):
        ActorAdapter.from_files({k: v for k, v in files.items() if k != name})


def test_a_newer_format_is_refused(files):
    config = {
        **json.loads(files[ADAPTER_CONFIG_FILE]),
        "format_version": ADAPTER_FORMAT_VERSION + 1,
    }
    with pytest.raises(ArtefactError, match="update dubfew"):
        ActorAdapter.from_files({**files, ADAPTER_CONFIG_FILE: json.dumps(config).encode()})


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"format_version": "1"}',
        b'{"format_version": 1}',
        b'{"format_version": 1, "prior": "lite", "method": "lora", "options": {}, "source": {}}',
    ],
)
def test_a_damaged_config_is_refused(files, config):
    with pytest.raises(ArtefactError, match=r"damaged|format version '1'"):
        ActorAdapter.from_files({**files, ADAPTER_CONFIG_FILE: config})


@pytest.mark.parametrize(
    "change",
    [{"method": "magic"}, {"options": {}}, {"options": {"rank": -1, "alpha": 16}}],
)
def test_a_config_with_a_wrong_method_or_options_is_refused(prior, adapter, change):
    with pytest.raises(ArtefactError):
        replace(adapter, config={**adapter.config, **change}).merge_with_prior(prior)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
@pytest.mark.slow
def test_damage_is_an_error_or_goes_into_values(prior, files, data):
    """No file, however broken, ends in anything but an error of ours.

    A bit that only changes a value cannot be noticed here; the registry's hashes do that.
    """
    name = data.draw(st.sampled_from(NAMES))
    content = files[name]
    # Headers hold all the structure: damage there is what can hurt.
    place = data.draw(
        st.integers(0, min(len(content), 3000) - 1) | st.integers(0, len(content) - 1)
    )
    if data.draw(st.booleans()):
        broken = content[:place]
    else:
        flipped = content[place] ^ (1 << data.draw(st.integers(0, 7)))
        broken = content[:place] + bytes([flipped]) + content[place + 1 :]
    whole = False
    with suppress(DubfewError):
        loaded = ActorAdapter.from_files({**files, name: broken})
        loaded.merge_with_prior(prior)
        Track.from_bytes(loaded.track_bytes, "track")
        whole = True
    assert not whole or len(broken) == len(content) or name == ADAPTER_CONFIG_FILE


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=100)))
def test_bytes_of_another_kind_are_refused(rubbish):
    with pytest.raises(ArtefactError):
        ActorAdapter.from_files(rubbish)


def test_the_registry_notices_every_flipped_bit(tmp_path, adapter, files):
    registry = Registry(tmp_path)
    registry.create("toy", {"method": "lora"}, files)
    stored = next(p for p in tmp_path.rglob(ADAPTER_TEXTURE_FILE))
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.chmod(0o644)
    stored.write_bytes(content)
    with pytest.raises(RegistryError, match="damaged"):
        registry.open("toy").read(ADAPTER_TEXTURE_FILE)
