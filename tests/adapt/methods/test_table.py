"""The table of adaptation methods and their options."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from dubfew.adapt.artefact import ActorAdapter
from dubfew.adapt.methods import METHODS, AdaptationMethod, MethodOption, resolve_method_options
from dubfew.errors import ArtefactError
from tests.adapt.toys import make_toy_adapter, render_pixels, train_toy_adapter


@pytest.mark.slow
def test_names_need_no_torch():
    program = (
        "import sys; from dubfew.adapt.methods import METHODS; print(*METHODS.names); "
        "assert 'torch' not in sys.modules and 'peft' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(METHODS.names)


def test_every_entry_is_a_method():
    assert {"texture", "lora", "full"} <= set(METHODS.names)
    assert all(isinstance(METHODS[name], AdaptationMethod) for name in METHODS.names)


def test_options_by_name():
    defaults = METHODS["lora"].default_options
    assert resolve_method_options("lora", rank=None) == defaults
    assert resolve_method_options("lora", rank=4) == {"rank": 4, "alpha": 4}
    assert resolve_method_options("lora", alpha=4) == {"rank": defaults["rank"], "alpha": 4}
    assert defaults["rank"] == 16
    with pytest.raises(ArtefactError, match=r"--rank.*lora"):
        resolve_method_options("texture", rank=4)
    with pytest.raises(ArtefactError, match=r"--rank is 100000.*256"):
        resolve_method_options("lora", rank=100000)


def test_unknown_methods_are_refused():
    with pytest.raises(ArtefactError, match="'magic'.*" + ", ".join(METHODS.names)):
        METHODS.load("magic")
    with pytest.raises(ArtefactError, match="magic"):
        resolve_method_options("magic", rank=4)


@pytest.mark.parametrize(
    "stored", [None, [], {}, {"rank": 4}, {"rank": 0, "alpha": 4}, {"rank": True, "alpha": 4}]
)
def test_stored_options_are_checked(stored):
    METHODS["lora"].check_options({"rank": 4, "alpha": 8})
    with pytest.raises(ArtefactError, match=r"rank from 1 to 256, alpha from 1 to 256"):
        METHODS["lora"].check_options(stored)
    with pytest.raises(ArtefactError, match="empty object"):
        METHODS["texture"].check_options({"rank": 4})


@pytest.mark.slow
def test_a_method_from_outside_is_adapted_stored_and_rendered(prior, footage, sample):
    """As in docs: the bias of one layer alone."""

    def make_trainable(renderer, options):
        renderer.requires_grad_(False)
        renderer.leave.bias.requires_grad_(True)
        return renderer

    def apply_delta(renderer, weights, options):
        with torch.no_grad():
            renderer.leave.bias += weights["bias"] * options["gain"]
        return renderer

    method = AdaptationMethod(
        learning_rate=1e-3,
        make_trainable=make_trainable,
        extract_delta=lambda model, before: {"bias": model.leave.bias - before["leave.bias"]},
        apply_delta=apply_delta,
        options={"gain": MethodOption(1, maximum=3)},
    )
    METHODS.register("bias", method)
    try:
        result = train_toy_adapter(prior, footage, "bias", 3)
        stored = make_toy_adapter(prior, footage, "bias", result).to_files()
        again = ActorAdapter.from_files(stored)
        assert again.config["options"] == {"gain": 1}
        shown = render_pixels(again.merge_with_prior(prior), again.texture, sample)
        assert torch.isfinite(shown).all()
    finally:
        METHODS.unregister("bias")
    with pytest.raises(ArtefactError, match="'bias'"):
        ActorAdapter.from_files(stored)
