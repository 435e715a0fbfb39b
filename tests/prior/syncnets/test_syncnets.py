"""SyncNets: sizes of the papers, exact invariance to shifts, and what their losses move."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from dubfew.errors import ArtefactError
from dubfew.prior.syncnets import SYNCNETS, make_syncnet
from dubfew.prior.syncnets._embedding import AdaptivePolyphaseSampling, resize_lower_halves
from dubfew.prior.syncnets.dinet import cut_mouths, join_windows

# Settings of toy size.
TOY = {"wav2lip": {"divisor": 32}, "aps": {"divisor": 32}, "dinet": {"divisor": 16, "size": 64}}


def make_pairs(name: str, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    sound = (29, 5) if name == "dinet" else (80, 16)
    return (
        torch.rand(count, 5, 3, 104, 96, generator=generator),
        torch.randn(count, 5, *sound, generator=generator),
    )


@pytest.mark.parametrize(
    ("name", "faces", "sound"), [("wav2lip", 13.0, 3.4), ("aps", 13.0, 3.4), ("dinet", 3.3, 0)]
)
def test_sizes_of_the_papers(name: str, faces: float, sound: float) -> None:
    with torch.device("meta"):
        network = make_syncnet(name)
    counts = {part: sum(p.numel() for p in m.parameters()) for part, m in network.named_children()}
    heard = counts["sound_encoder"] / 1e6 if sound else 0
    assert sum(counts.values()) / 1e6 - heard == pytest.approx(faces, abs=0.05)
    assert heard == pytest.approx(sound, abs=0.05)


@pytest.mark.parametrize("name", SYNCNETS.names)
def test_scores_and_gradients_of_all_layers(name: str) -> None:
    torch.manual_seed(0)
    network = make_syncnet(name, TOY[name])
    frames, sound = make_pairs(name)
    assert network(frames, sound).shape == (3,)
    network.compute_loss(frames, sound, torch.tensor([1.0, 0, 0])).backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@pytest.mark.parametrize("name", SYNCNETS.names)
def test_a_frozen_network_moves_the_picture_alone(name: str) -> None:
    torch.manual_seed(0)
    network = make_syncnet(name, TOY[name])
    frames, sound = make_pairs(name)
    network.compute_loss(frames, sound, torch.ones(3))  # moves running statistics
    before = {key: value.clone() for key, value in network.freeze().state_dict().items()}
    frames.requires_grad_()
    network.renderer_loss(frames, sound).backward()
    assert torch.isfinite(frames.grad).all()
    assert frames.grad.any()
    assert all(p.grad is None for p in network.parameters())
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_the_losses_are_those_of_the_papers() -> None:
    torch.manual_seed(0)
    frames, sound = make_pairs("aps")
    aps, wav2lip = (make_syncnet(n, TOY[n]).eval() for n in ("aps", "wav2lip"))
    cosine = F.cosine_similarity(aps.embed_faces(frames), aps.embed_sound(sound))
    # SIDGAN, eq. 2.
    expected = -((1 + cosine) / 2).log().mean()
    torch.testing.assert_close(aps.renderer_loss(frames, sound), expected)
    cosine = F.cosine_similarity(wav2lip.embed_faces(frames), wav2lip.embed_sound(sound))
    assert (cosine >= 0).all()
    labels = torch.tensor([1.0, 0, 1])
    torch.testing.assert_close(
        wav2lip.compute_loss(frames, sound, labels), F.binary_cross_entropy(cosine, labels)
    )
    frames, sound = make_pairs("dinet")
    dinet = make_syncnet("dinet", TOY["dinet"])
    scores = dinet.score_map(dinet.embed_faces(frames), dinet.embed_sound(sound))
    assert scores.shape == (3, 1, 2, 2)
    # DINet, eq. 6.
    torch.testing.assert_close(dinet.renderer_loss(frames, sound), (scores - 1).square().mean())


def test_phases_go_on_from_plain_strides() -> None:
    torch.manual_seed(0)
    aps, plain = (make_syncnet(n, TOY[n]) for n in ("aps", "wav2lip"))
    frames, sound = make_pairs("aps")
    for _ in range(3):
        plain.compute_loss(frames, sound, torch.ones(3))  # moves running statistics
    aps.eval().copy_plain(plain.eval())
    x = torch.rand(2, aps.embedding_width, 3, 3)
    torch.testing.assert_close(F.relu(aps.face_ending(x)), plain.face_ending(x))
    # Before the first stride both are the same but for the padding.
    y = torch.rand(2, 15, 20, 20)
    inner = (..., slice(3, -3), slice(3, -3))
    torch.testing.assert_close(aps.face[0](y)[inner], plain.face[0](y)[inner])
    with pytest.raises(RuntimeError, match="size mismatch"):
        make_syncnet("aps", {"divisor": 16}).copy_plain(plain)


def test_the_strongest_phase_is_kept() -> None:
    x = torch.zeros(2, 1, 4, 6)
    x[0, 0, 1::2, 2::3] = torch.tensor([[1.0, 2], [3, 4]])
    x[1, 0, 2, 4] = -9
    kept = AdaptivePolyphaseSampling((2, 3))(x)
    assert kept.tolist() == [[[[1, 2], [3, 4]]], [[[0, 0], [0, -9]]]]
    assert AdaptivePolyphaseSampling((3, 1))(torch.rand(1, 2, 7, 5)).shape == (1, 2, 3, 5)


@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (3, 1), (3, 2)])
def test_a_shift_of_the_input_is_a_shift_of_the_output(stride: tuple[int, int]) -> None:
    sampling = AdaptivePolyphaseSampling(stride)
    x = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    whole = sampling(x)
    cells = [(a, b) for a in range(whole.shape[2]) for b in range(whole.shape[3])]
    for shift in ((0, 1), (1, 0), (2, 3), (5, 7)):
        # Each picture has a phase of its own.
        for kept, moved in zip(whole, sampling(x.roll(shift, (2, 3))), strict=True):
            assert any(torch.equal(moved, kept.roll(cell, (1, 2))) for cell in cells), shift


def test_the_face_encoder_does_not_see_shifts() -> None:
    """With circular padding, phases and a mean over positions the embedding stays as it is."""
    torch.manual_seed(0)
    settings = TOY["aps"] | {"head": "mean"}
    network = make_syncnet("aps", settings).eval()
    plain = make_syncnet("aps", settings | {"polyphase": False}).eval()
    frames = torch.rand(1, 5, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    frames[..., :48, :] = 0
    for shift in (1, 5, 8):
        moved = frames.roll(shift, 4)
        torch.testing.assert_close(
            network.embed_faces(moved), network.embed_faces(frames), atol=1e-5, rtol=1e-4
        )
        assert (plain.embed_faces(moved) - plain.embed_faces(frames)).abs().max() > 1e-4


def test_the_lower_half_and_the_mouth_are_cut() -> None:
    rows = torch.arange(416.0)[:, None].expand(416, 320)
    columns = torch.arange(320.0).expand(416, 320)
    frames = torch.stack([rows, columns, rows])[None, None].expand(1, 5, 3, 416, 320)
    halves = resize_lower_halves(frames)
    assert halves.shape == (1, 5, 3, 48, 96)
    assert float(halves[0, 0, 0].mean()) == pytest.approx((208 + 415) / 2)
    mouth = cut_mouths(frames, 256)
    assert mouth.shape == (1, 5, 3, 256, 256)
    # The rectangle that the paper masks.
    assert (float(mouth[0, 0, 0, 0, 0]), float(mouth[0, 0, 0, -1, 0])) == (128, 383)
    assert (float(mouth[0, 0, 1, 0, 0]), float(mouth[0, 0, 1, 0, -1])) == (32, 287)


def test_windows_join_to_nine_steps() -> None:
    steps = torch.arange(9.0)
    sound = torch.stack([steps[k : k + 5] for k in range(5)])[None, :, None]
    assert join_windows(sound)[0, 0].tolist() == list(range(9))


def test_unknown_names_and_settings() -> None:
    with pytest.raises(ArtefactError, match="no SyncNet"):
        make_syncnet("lipnet")
    with pytest.raises(ArtefactError, match="depth"):
        make_syncnet("aps", {"depth": 3})
    with pytest.raises(ArtefactError, match="multiple of 32"):
        make_syncnet("dinet", {"size": 100})
