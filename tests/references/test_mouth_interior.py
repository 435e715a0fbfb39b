"""The mouth's inside: teeth are rigid, the gap spreads, a cavity stands in for what is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import dubfew.references.mouth_interior
from dubfew.references.cavity_parts import (
    DARK,
    FLESH,
    TEETH,
    CavityPoints,
    MouthColors,
    cavity_features,
    load_cavity_parts,
)
from dubfew.references.mouth_cavity import draw_cavity, measure_mouth_colors
from dubfew.references.mouth_interior import (
    MouthInterior,
    ReferenceMouth,
    map_mouth_interior,
)
from dubfew.references.mouth_opening import (
    MAX_TEETH_SCALE,
    MouthOpening,
    find_gap,
    find_seam,
    map_heights,
)
from dubfew.references.tooth_rows import UPPER_CROWN_WIDTHS, draw_tooth_rows

SIZE = 160


def ring(opening: float, half_width: float = 0.4, turn: float = 0.0) -> np.ndarray:
    """Inner lips of a lens-shaped opening, half widths of a window. [20, 2]"""
    x = np.cos(np.linspace(np.pi, -np.pi, 21)[:20]) * half_width
    y = -np.sin(np.linspace(np.pi, -np.pi, 21)[:20]) * opening / 2
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (np.stack([x, y], 1) @ rotation.T).astype(np.float32)


def pixels_inside(points: np.ndarray) -> np.ndarray:
    """Pixels of the lens that `ring` makes, without turn. [160, 160]"""
    centers = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1
    x, y = np.meshgrid(centers, centers)
    reach, height = np.abs(points[:, 0]).max(), np.abs(points[:, 1]).max()
    return (x / reach) ** 2 + (y / height) ** 2 < 1


def places_in_opening(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place of each pixel along an opening, and its height, 0 to 1 downwards. [160, 160] each"""
    centers = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1
    x, y = np.meshgrid(centers, centers)
    upper, lower = MouthOpening.from_ring(points).edge_heights(x)
    return x, (y - upper) / (lower - upper)


def painted_mouth(opening: float, teeth: float) -> np.ndarray:
    """A skin-colored window, black between the lips, white teeth below the upper lip."""
    image = np.full((SIZE, SIZE, 3), (200, 140, 120), np.uint8)
    points = ring(opening)
    image[pixels_inside(points)] = (20, 10, 10)
    centers = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1
    x, y = np.meshgrid(centers, centers)
    upper, _ = MouthOpening.from_ring(points).edge_heights(x)
    image[pixels_inside(points) & (y - upper < teeth)] = (240, 240, 230)
    return image


COLORS = MouthColors(
    *(
        np.array(c, np.float32)
        for c in ((170, 90, 90), (160, 80, 80), (30, 15, 15), (200, 140, 120))
    )
)


def carried_by_sheet(wide: float, narrow: float) -> np.ndarray:
    """Place of each pixel as a sheet between the lips of `ring` carries it. [1, 160, 160, 2]"""
    centers = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1
    x, y = np.meshgrid(centers, centers)
    return np.stack([x, y * narrow / wide], -1)[None].astype(np.float32)


def measure_colors() -> MouthColors:
    """Return the colors around the mouth of `painted_mouth`."""
    return COLORS


def tooth_length(wide: float, narrow: float, teeth: float) -> float:
    """Length of the tooth in the middle, as painted from a narrower reference."""
    reference = painted_mouth(narrow, teeth)
    points = ring(wide)
    interior = map_mouth_interior(
        pixels_inside(points),
        points,
        0.75,
        [ReferenceMouth(reference, ring(narrow))],
        carried_by_sheet(wide, narrow),
        measure_colors,
    )
    index = np.clip(((interior.positions[0] + 1) * SIZE / 2).astype(int), 0, SIZE - 1)
    white = reference[index[:, 1], index[:, 0]].mean(1) > 200
    column = interior.columns == SIZE // 2
    # What the drawn cavity replaces is not the reference's tooth.
    return float((white & column & (interior.shown[0] > 0.5)).sum() * 2 / SIZE)


def test_no_tooth_is_longer_than_in_the_reference():
    """Not in a mouth a little wider, where the mesh carries it, nor in one three times as wide."""
    tooth, pixel = 0.16, 2 / SIZE
    lengths = [tooth_length(wide, 0.5, tooth) for wide in (0.52, 0.58, 0.61, 0.64, 0.8, 1.0, 1.5)]
    # A sheet between the lips would stretch it by as much as they part, to three times its length.
    assert max(lengths) <= 1.17 * tooth + pixel
    assert lengths[-1] == pytest.approx(MAX_TEETH_SCALE * tooth, abs=pixel)
    # As long as what the mesh has stretched when it gives over: no tooth shrinks while lips part.
    assert MAX_TEETH_SCALE == dubfew.references.mouth_interior.CARRIED_UP_TO


def test_the_same_mouth_maps_to_itself():
    points = ring(0.3)
    inside = pixels_inside(points)
    image = painted_mouth(0.3, 0.06)
    interior = map_mouth_interior(
        inside,
        points,
        0.75,
        [ReferenceMouth(image, points)],
        carried_by_sheet(1, 1),
        measure_colors,
    )
    rows, columns = np.nonzero(inside)
    expected = (np.stack([columns, rows], 1) + 0.5) * 2 / SIZE - 1
    np.testing.assert_allclose(interior.positions[0], expected, atol=0.02)
    assert interior.shown.min() == 1
    assert not interior.cavity.any()


@pytest.mark.parametrize(
    ("height_px", "known_px", "rigid"),
    [
        (2.0, 0.5, 0),  # within the error of landmarks
        (5.5, 0.5, 1),  # closed lips, stretched, would be a row of dashes
        (6.0, 3.0, 0.35),  # twice of a pixel is no tooth: 2 of the 5 px from 4 to 9, smoothly
        (12.0, 6.0, 1),
        (12.0, 11.5, 0),
    ],
)
def test_small_openings_are_left_to_the_mesh_unless_lips_were_closed(height_px, known_px, rigid):
    pixel = 2 / SIZE
    wide, narrow = height_px * pixel, known_px * pixel
    points = ring(wide)
    interior = map_mouth_interior(
        pixels_inside(points),
        points,
        0.75,
        [ReferenceMouth(painted_mouth(narrow, pixel), ring(narrow))],
        carried_by_sheet(wide, narrow),
        measure_colors,
    )
    assert interior.rigid == pytest.approx(rigid, abs=0.01)


def test_closed_lips_show_nothing_of_an_open_mouth():
    points = ring(0.5)
    inside = pixels_inside(points)
    image = np.full((SIZE, SIZE, 3), (200, 140, 120), np.uint8)
    carried = carried_by_sheet(0.5, 0.002)
    interior = map_mouth_interior(
        inside, points, 0.75, [ReferenceMouth(image, ring(0.002))], carried, measure_colors
    )
    middle = np.hypot(interior.rows - SIZE / 2, interior.columns - SIZE / 2) < 10
    assert interior.shown[0, middle].max() < 0.01
    # The edges beside the lips stay theirs.
    assert interior.shown[0].max() > 0.5


def test_a_dark_mouth_without_teeth_stays_dark_three_times_as_wide():
    """Nothing rigid shows, so the mesh carries the darkness, and no teeth of others are drawn."""
    points, carried = ring(0.6), carried_by_sheet(0.6, 0.2)
    inside = pixels_inside(points)
    dark, image = painted_mouth(0.2, 0), painted_mouth(0.02, 0)

    def map_to(image: np.ndarray, lips: np.ndarray, places: np.ndarray) -> MouthInterior:
        return map_mouth_interior(
            inside, points, 0.75, [ReferenceMouth(image, lips)], places, measure_colors
        )

    found = map_to(dark, ring(0.2), carried)
    np.testing.assert_allclose(found.positions[0], carried[0][inside], atol=1e-6)
    assert (found.shown.min(), found.rigid) == (1, 0)
    assert not found.cavity.any()
    # Lips that are nearly closed tell nothing, and red ones without a gap are no hollow.
    closed = carried_by_sheet(0.6, 0.02)
    assert map_to(image, ring(0.02), closed).rigid
    red = np.full_like(dark, (170, 90, 90))
    assert map_to(red, ring(0.2), carried).rigid


@pytest.mark.parametrize(("share", "hollow"), [(0.07, True), (0.2, False)])
def test_the_shine_of_the_lower_lip_is_no_row_of_teeth(share, hollow):
    """Landmarks lie a pixel or two below its edge."""
    _, height = places_in_opening(ring(0.3))
    image = painted_mouth(0.3, 0)
    image[pixels_inside(ring(0.3)) & (height > 1 - share)] = (240, 225, 220)
    assert ReferenceMouth(image, ring(0.3)).is_hollow is hollow


def test_clenched_teeth_that_part_show_no_slab():
    """All of the reference is teeth: twice as wide, its middle is drawn and not stretched."""
    points, narrow = ring(0.5), ring(0.25)
    inside = pixels_inside(points)
    lips = painted_mouth(0.25, 0.25)
    lips[np.all(lips == (200, 140, 120), -1)] = (170, 90, 90)
    gap = lips.copy()
    gap[SIZE // 2 - 2 : SIZE // 2 + 2] = (20, 10, 10)
    found = [
        map_mouth_interior(
            inside,
            points,
            0.75,
            [ReferenceMouth(image, narrow)],
            carried_by_sheet(2, 1),
            measure_colors,
        )
        for image in (lips, gap)
    ]
    middle = np.hypot(found[0].rows - SIZE / 2, found[0].columns - SIZE / 2) < 4
    assert found[0].shown[0, middle].max() < 0.2
    # Upper and lower teeth stay: only the middle is missing.
    assert (found[0].shown[0] == 1).mean() > 0.45
    # A dark gap that is spread as much has torn edges, and hides the tongue.
    assert found[1].shown[0, middle].min() < 0.1
    # What replaces it begins softly: an edge of a single pixel would be a cut-out.
    shown = np.ones((SIZE, SIZE))
    shown[inside] = found[0].shown[0]
    assert np.abs(np.diff(shown[:, SIZE // 2])).max() < 0.4
    # The corners of the mouth are those of the reference.
    corners = np.abs(found[0].columns - SIZE / 2) > 0.96 * inside.any(0).sum() / 2
    assert found[0].shown[0, corners].min() == 1
    # Between clenched teeth is their own shade, and no black.
    assert found[0].cavity[middle].mean() > 1.5 * found[1].cavity[middle].mean()


@pytest.mark.parametrize(("teeth", "drawn"), [(0.0, True), (0.03, False)])
def test_teeth_are_drawn_whole_before_a_tongue_that_hides_the_actors_own(teeth, drawn):
    """Half open lips between which nothing but flesh shows say nothing of teeth."""
    points, narrow = ring(0.5), ring(0.12)
    inside = pixels_inside(points)
    tongue = painted_mouth(0.12, teeth)
    tongue[np.all(tongue == (200, 140, 120), -1)] = (170, 90, 90)
    tongue[np.all(tongue == (20, 10, 10), -1)] = (130, 66, 70)
    mouth = ReferenceMouth(tongue, narrow)
    interior = map_mouth_interior(
        inside, points, 0.75, [mouth], carried_by_sheet(0.5, 0.12), measure_colors
    )
    assert (mouth.lacks_teeth == 1) is drawn
    across = np.abs(interior.columns - SIZE / 2) < 0.2 * inside.any(0).sum()
    brightest = interior.cavity[across].mean(1).max()
    assert bool(brightest > 0.55) is drawn


def test_a_little_wider_mouth_is_carried_by_the_mesh():
    points = ring(0.22)
    inside = pixels_inside(points)
    carried = carried_by_sheet(0.22, 0.2)
    interior = map_mouth_interior(
        inside,
        points,
        0.75,
        [ReferenceMouth(painted_mouth(0.2, 0.05), ring(0.2))],
        carried,
        measure_colors,
    )
    np.testing.assert_allclose(interior.positions[0], carried[0][inside], atol=1e-6)
    assert interior.shown.min() == 1


def test_a_reference_is_looked_at_once(monkeypatch):
    looked = []
    find = dubfew.references.mouth_interior.find_gap
    monkeypatch.setattr(
        "dubfew.references.mouth_interior.find_gap", lambda *a: looked.append(1) or find(*a)
    )
    mouth = ReferenceMouth(painted_mouth(0.2, 0.05), ring(0.2))
    points = ring(0.5)
    for _ in range(2):
        map_mouth_interior(
            pixels_inside(points), points, 0.75, [mouth], carried_by_sheet(0.5, 0.2), measure_colors
        )
    assert looked == [1]


def test_no_pixels_between_the_lips_are_no_trouble():
    closed = np.zeros((SIZE, SIZE), bool)
    image = painted_mouth(0.2, 0.05)
    interior = map_mouth_interior(
        closed,
        ring(0.0),
        0.75,
        [ReferenceMouth(image, ring(0.2))],
        carried_by_sheet(1, 1),
        measure_colors,
    )
    assert interior.positions.shape == (1, 0, 2)


def test_the_gap_is_the_dark_row_under_the_teeth():
    gap = find_gap(painted_mouth(0.3, 0.1), MouthOpening.from_ring(ring(0.3)))
    assert (gap.heights > 0.4).all()
    assert (gap.heights < 0.9).all()
    assert gap.color.max() < 60


def test_the_gap_follows_uneven_teeth():
    """Upper and lower teeth meet at a slant, with a dark line between them."""
    points = ring(0.3)
    across, height = places_in_opening(points)
    image = painted_mouth(0.3, 1)
    line = np.abs(height - (0.5 + 0.4 * across)) < 0.06
    image[pixels_inside(points) & line] = (20, 10, 10)
    gap = find_gap(image, MouthOpening.from_ring(points))
    np.testing.assert_allclose(gap.heights, 0.5 + 0.4 * gap.across, atol=0.04)


def test_the_shadow_of_a_lip_is_no_gap_of_clenched_teeth():
    points = ring(0.3)
    _, height = places_in_opening(points)
    image = painted_mouth(0.3, 1)
    image[pixels_inside(points) & (height < 0.12)] = (200, 200, 190)
    image[pixels_inside(points) & (np.abs(height - 0.5) < 0.06)] = (215, 215, 205)
    mouth = ReferenceMouth(image, points)
    assert not mouth.is_dark
    np.testing.assert_allclose(mouth.gap.heights, 0.5, atol=0.06)


def test_heights_are_continuous_and_reach_both_lips():
    height = np.linspace(0, 0.9, 500)
    for gap in (0.05, 0.5, 0.95):
        mapped, _, _ = map_heights(height, np.full(500, 0.9), np.full(500, 0.2), gap)
        assert mapped[0] == 0
        assert mapped[-1] == pytest.approx(1)
        assert (np.diff(mapped) >= -1e-9).all()
        assert np.diff(mapped).max() < 0.01


def test_all_columns_of_a_mouth_agree_on_what_the_reference_shows():
    """The reference is as high as half of the mouth here and a fifth there: no patches of both."""
    height, reference = np.tile(np.linspace(0, 0.9, 100), 2), np.repeat([0.45, 0.18], 100)
    mapped, spread, depth = map_heights(height, np.full(200, 0.9), reference, 0.5)
    assert (np.diff(mapped[:100]) >= -1e-9).all()
    # What is left of 0.9 beside teeth 1.12 times as long as in 0.8 of the reference, over the
    # other 0.2 of it; one factor for both columns.
    left = sum(0.9 - 0.8 * MAX_TEETH_SCALE * height for height in (0.45, 0.18))
    assert spread == pytest.approx(left / (0.2 * (0.45 + 0.18)), rel=0.02)
    assert depth[50] == depth[150] == 1
    # Nothing at the lips, and no step on the way.
    assert not depth[[0, 99, 100, 199]].any()
    assert np.abs(np.diff(depth)).max() < 0.15


def test_axes_follow_a_turned_mouth():
    opening = MouthOpening.from_ring(ring(0.3, turn=0.4))
    np.testing.assert_allclose(opening.axes[0], [np.cos(0.4), np.sin(0.4)], atol=1e-5)
    points = np.array([[0.1, 0.2], [-0.3, 0.05]])
    np.testing.assert_allclose(opening.from_axes(opening.to_axes(points)), points, atol=1e-6)
    upper, lower = opening.edge_heights(np.zeros(1))
    assert lower - upper == pytest.approx(0.3, abs=0.01)


def cavity_points(opening: float, half_width: float) -> CavityPoints:
    shape = MouthOpening.from_ring(ring(opening, half_width))
    rows, columns = np.nonzero(pixels_inside(ring(opening, half_width)))
    points = shape.to_axes((np.stack([columns, rows], 1) + 0.5) * 2 / SIZE - 1)
    return CavityPoints.from_opening(shape, points, 0.9)


def test_drawn_teeth_are_longer_in_a_smile_and_no_longer_in_a_wider_mouth():
    def length(opening: float, half_width: float) -> float:
        points = cavity_points(opening, half_width)
        teeth, _ = draw_tooth_rows(points, np.ones(len(points.across), np.float32))
        middle = np.abs(points.across) < 0.02
        return float(points.below_lip[middle & (teeth.opacity > 0.5)].max())

    assert length(0.25, 0.32) > 1.5 * length(0.25, 0.2)
    assert length(0.5, 0.2) == pytest.approx(length(0.25, 0.2), abs=0.02)


def test_upper_teeth_are_apart_and_lower_ones_no_beads():
    points = cavity_points(0.3, 0.38)
    upper, lower = draw_tooth_rows(points, np.ones(len(points.across), np.float32))
    contrast = {}
    for name, row, near in (
        ("upper", upper, (points.below_lip > 0.04) & (points.below_lip < 0.05)),
        ("lower", lower, (points.above_lip > 0.005) & (points.above_lip < 0.015)),
    ):
        seen = near & (np.abs(points.across) < 0.1) & (row.opacity > 0.5)
        contrast[name] = float(row.light[seen].min() / row.light[seen].max())
    assert contrast["upper"] < 0.85
    assert contrast["lower"] > 0.85


def test_an_unlikely_row_of_teeth_is_short_and_not_half_transparent():
    points = cavity_points(0.3, 0.3)
    certain, _ = draw_tooth_rows(points, np.ones(len(points.across), np.float32))
    doubted, _ = draw_tooth_rows(points, np.full(len(points.across), 0.35, np.float32))
    never, _ = draw_tooth_rows(points, np.full(len(points.across), 0.1, np.float32))
    middle = np.abs(np.abs(points.across) - UPPER_CROWN_WIDTHS[0] / 2) < 0.01
    assert doubted.opacity[middle].max() > 0.95
    assert doubted.opacity[middle].sum() < 0.65 * certain.opacity[middle].sum()
    assert never.opacity.max() == 0


def test_teeth_are_darker_towards_the_cheeks_and_end_before_the_corners():
    points = cavity_points(0.3, 0.3)
    upper, _ = draw_tooth_rows(points, np.ones(len(points.across), np.float32))
    across = np.abs(points.across)
    in_row = (points.below_lip > 0.02) & (points.below_lip < 0.04)
    middle = in_row & (np.abs(across - UPPER_CROWN_WIDTHS[0] / 2) < 0.02)
    side = in_row & (across > 0.16) & (across < 0.2)
    assert upper.light[side].mean() < 0.85 * upper.light[middle].mean()
    assert upper.opacity[in_row & (across > 0.27)].max() < 0.05


def test_below_the_drawn_teeth_is_no_mixture_of_teeth():
    """Dark or flesh, redder and darker than teeth: never their half tone, a gray fill."""
    points = cavity_points(0.2, 0.24)
    drawn = draw_cavity(points, COLORS)
    upper, lower = draw_tooth_rows(points, np.ones(len(points.across), np.float32))
    middle = np.abs(points.across) < 0.1
    teeth = drawn[middle & (upper.opacity > 0.99)]
    seen = middle & (upper.opacity < 0.01) & (lower.opacity < 0.01)
    behind = drawn[seen]
    assert behind.mean(0).mean() < 0.5 * teeth.mean(0).mean()
    assert (behind[:, 0] / behind[:, 2]).min() > 1.25 * (teeth[:, 0] / teeth[:, 2]).mean()
    # It falls off smoothly: darker below the teeth than before the lower lip.
    levels = [behind[np.abs(points.heights[seen] - h) < 0.06].mean() for h in (0.5, 0.65, 0.8)]
    assert (np.diff(levels) > 0).all()


def test_a_tongue_shows_in_a_wide_mouth():
    """A black hole in a wide mouth is what a viewer sees first."""
    lightness = []
    for opening in (0.12, 0.27):
        points = cavity_points(opening, 0.24)
        middle = (np.abs(points.across) < 0.1) & (np.abs(points.heights - 0.7) < 0.05)
        lightness.append(draw_cavity(points, COLORS, teeth_opacity=0)[middle].mean())
    assert lightness[1] > 1.2 * lightness[0]


def test_behind_teeth_of_the_actors_own_is_the_back_in_the_color_that_was_seen():
    points = cavity_points(0.3, 0.24)
    back = draw_cavity(points, COLORS, teeth_opacity=0)
    whole = draw_cavity(points, COLORS)
    upper, lower = draw_tooth_rows(points, np.ones(len(points.across), np.float32))
    assert np.abs(whole - back)[upper.opacity > 0.99].mean() > 0.1
    beyond = (upper.opacity < 1e-3) & (lower.opacity < 1e-3)
    near, far = (beyond & part for part in (upper.beyond < 0.02, upper.beyond > 0.25))
    np.testing.assert_allclose(back[far], whole[far], atol=2e-3)
    # The drawn row throws a shade where it ends, the actor's own elsewhere: half of it is sure.
    assert (back[beyond] >= whole[beyond] - 1e-6).all()
    assert back[near].mean() > 1.1 * whole[near].mean()
    pink = np.array([150, 80, 85], np.float32)
    seen = draw_cavity(points, COLORS, teeth_opacity=0, gap=pink, gap_weight=1)
    lit = (points.heights > 0.6) & (np.abs(points.across) < 0.4 * points.half_width)
    np.testing.assert_allclose(seen[lit], np.broadcast_to(pink / 255, seen[lit].shape), atol=0.06)
    # It lies in the shade of the teeth, and of the cheeks.
    assert (seen.mean(1) <= pink.mean() / 255 + 1e-3).all()
    assert seen[points.heights < 0.3].mean() < 0.8 * seen[lit].mean()


@pytest.mark.parametrize(
    ("gap", "tongue"),
    [
        ((30, 12, 12), False),
        ((130, 66, 70), True),
        ((215, 205, 190), False),
        ((140, 100, 90), False),
    ],
    ids=["dark", "tongue", "teeth", "teeth in the shade"],
)
def test_a_tongue_is_flesh_and_neither_the_dark_nor_a_row_of_teeth(gap, tongue):
    window, lips, _, _ = seen_window((225, 220, 205))
    window[np.all(window == (20, 10, 10), -1)] = gap
    assert ReferenceMouth(window, lips).shows_tongue is tongue


@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), (0.6, 0.8, 1.2), (1.1, 0.9, 0.6)])
def test_teeth_have_a_hue_between_skin_and_the_light(light):
    """No green teeth in any light: channels over the skin's rise from red to blue."""
    colors = MouthColors(
        *(np.array(light, np.float32) * c for c in vars(COLORS).values() if c is not None)
    )
    _, parts = load_cavity_parts().predict(cavity_points(0.3, 0.3), colors)
    over_skin = parts[:, TEETH] / (colors.skin / 255)
    assert (np.diff(over_skin, axis=1) > 0).all()
    assert over_skin.max() < 1.5
    # Flesh is as red as the lips or redder.
    over_lip = parts[:, FLESH] / (colors.lower_lip / 255)
    assert (over_lip[:, 0] >= over_lip[:, 1:].max(1) - 1e-6).all()


def test_a_narrow_mouth_tells_little_of_a_wide_one():
    """A dark gap that was seen counts in full in such mouths, and less where a tongue may show."""
    seen = measure_mouth_colors([seen_window((225, 205, 150))] * 6)
    told = [
        np.abs(
            load_cavity_parts().predict(points, seen)[0]
            - load_cavity_parts().predict(points, replace(seen, correction=None))[0]
        ).mean()
        for points in (cavity_points(0.19, 0.26), cavity_points(0.5, 0.26))
    ]
    assert told[1] < 0.5 * told[0]


def closed_window(seam_px: float) -> np.ndarray:
    """Closed lips whose dark seam lies some px below the landmarks. [160, 160, 3]"""
    image = np.full((SIZE, SIZE, 3), (170, 90, 90), np.uint8)
    row = round(SIZE / 2 + seam_px)
    image[row - 1 : row + 2] = (60, 20, 20)
    return image


@pytest.mark.parametrize("seam_px", [-3.0, 0.0, 3.0])
def test_the_seam_of_closed_lips_is_no_outline_of_an_open_mouth(seam_px):
    image, points, closed = closed_window(seam_px), ring(0.4), ring(0.002)
    seam = find_seam(image, MouthOpening.from_ring(closed))
    middle = np.abs(seam.across) < 0.2
    np.testing.assert_allclose(seam.heights[middle] * SIZE / 2, seam_px + 0.5, atol=1.0)
    inside = pixels_inside(points)
    carried = carried_by_sheet(0.4, 0.002)
    # Beside the opening, the mesh moves lips as a whole.
    y = (np.arange(SIZE) + 0.5) * 2 / SIZE - 1
    beside = np.sign(y) * np.maximum(np.abs(y) - 0.2, 0)
    carried[0, ..., 1] = np.where(inside, carried[0, ..., 1], beside[:, None])
    interior = map_mouth_interior(
        inside, points, 0.75, [ReferenceMouth(image, closed)], carried, measure_colors
    )
    carried[0, interior.seam_rows, interior.seam_columns] += interior.seam_shifts[0]
    rows = ((carried[0, :, SIZE // 2, 1] + 1) * SIZE / 2).astype(int)
    outside = ~inside[:, SIZE // 2]
    assert image[rows[outside], SIZE // 2, 0].min() == 170
    # Nothing moves far from the opening, and no lip is folded over.
    assert interior.seam_rows.min() > SIZE / 2 - 0.2 * SIZE / 2 - 12
    assert (np.diff(rows[outside][: outside.argmin()]) >= 0).all()


def seen_window(teeth: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """A window with teeth of a color over a dark gap: image, lips, cheeks, eyes."""
    window = painted_mouth(0.3, 0.1)
    lips = np.all(window == (200, 140, 120), -1)
    lips[:, : SIZE // 4] = lips[:, -SIZE // 4 :] = False
    window[lips] = (150, 80, 80)
    window[np.all(window == (240, 240, 230), -1)] = teeth
    cheeks = np.array([[-0.8, 0.0], [0.8, 0.0]], np.float32)
    return window, ring(0.3), cheeks, 1.4


def test_open_mouths_that_were_seen_correct_what_is_drawn():
    yellow = (225, 205, 150)
    seen = [seen_window(yellow)] * 3
    colors = measure_mouth_colors(seen)
    image, _, cheeks, eyes = seen[0]
    # Closed lips tell nothing of the inside.
    assert measure_mouth_colors([(image, ring(0.002), cheeks, eyes)]).correction is None
    before = measure_mouth_colors(seen, inside=False)
    assert before.correction is None
    points = cavity_points(0.19, 0.26)
    upper = (abs(points.heights - 0.2) < 0.1) & (np.abs(points.across) < 0.15)
    lower = (abs(points.heights - 0.7) < 0.15) & (np.abs(points.across) < 0.15)

    def errors(drawn: np.ndarray) -> tuple[float, float]:
        tooth, gap = np.array(yellow) / 255, np.array((20, 10, 10)) / 255
        return np.abs(drawn[upper] - tooth).mean(), np.abs(drawn[lower] - gap).mean()

    corrected, mean = errors(draw_cavity(points, colors)), errors(draw_cavity(points, before))
    assert corrected[0] < 0.7 * mean[0]
    assert corrected[1] < 0.5 * mean[1]


def test_white_teeth_in_a_narrow_smile_tell_the_color_of_teeth():
    """Its opening is too narrow to tell how often teeth show, but what is white is a tooth."""
    tooth = (215, 200, 170)
    window = painted_mouth(0.06, 0.06)
    lips = np.all(window == (200, 140, 120), -1)
    lips[:, : SIZE // 4] = lips[:, -SIZE // 4 :] = False
    window[lips] = (150, 80, 80)
    window[np.all(window == (240, 240, 230), -1)] = tooth
    cheeks = np.array([[-0.8, 0.0], [0.8, 0.0]], np.float32)
    colors = measure_mouth_colors([(window, ring(0.06), cheeks, 1.4)] * 6)
    assert colors.correction is not None
    np.testing.assert_allclose(colors.correction.log_odds, 0, atol=0.25)
    points = cavity_points(0.3, 0.3)
    before, after = (
        load_cavity_parts().predict(points, c)[1][:, TEETH].mean(0) * 255
        for c in (measure_mouth_colors([(window, ring(0.06), cheeks, 1.4)], inside=False), colors)
    )
    assert np.abs(after - tooth).mean() < 0.6 * np.abs(before - tooth).mean()


@pytest.mark.parametrize("light", [0.2, 1.0, 1.25])
def test_the_cavity_follows_the_light(light):
    points = cavity_points(0.3, 0.3)
    lit = MouthColors(*(c * light for c in vars(COLORS).values() if c is not None))
    drawn, usual = draw_cavity(points, lit), draw_cavity(points, COLORS)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert drawn.mean() == pytest.approx(light * usual.mean(), rel=0.25)


def test_the_network_tells_dark_flesh_and_teeth_apart():
    points = cavity_points(0.3, 0.3)
    features = cavity_features(points, COLORS)
    network = load_cavity_parts()
    assert features.shape[1] == len(network.mean) == network.weights[0].shape[1]
    log_odds, colors = network.predict(points, COLORS)
    np.testing.assert_allclose(np.exp(log_odds).sum(1), 1, atol=1e-5)
    level = colors.mean((0, 2))
    assert level[DARK] < 0.8 * level[FLESH] < 0.8 * level[TEETH]
    # Teeth are paler than flesh.
    paleness = colors[:, :, 2].mean(0) / colors[:, :, 0].mean(0)
    assert paleness[TEETH] > 1.1 * paleness[FLESH]
    # The corners of a mouth are dark.
    corners = np.abs(points.across) > 0.8 * points.half_width
    assert np.exp(log_odds)[corners, DARK].mean() > np.exp(log_odds)[~corners, DARK].mean()
