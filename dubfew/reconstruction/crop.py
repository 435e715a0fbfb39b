"""Head box, mouth window and mouth mask: steady, and independent of how far the jaw is open.

Neither the network nor a viewer may be able to tell from a box or a mask how far the jaw is open.
So all of them enclose the head twice, with the jaw fully closed and fully open, and with its
expression at rest.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), sec. 3.2 and A.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.spatial import ConvexHull, Delaunay

from dubfew.reconstruction.heads.head_model import MAX_JAW_OPENING_RADIANS, HeadModel
from dubfew.reconstruction.projection import project_posed_points, rotvecs_to_matrices
from dubfew.reconstruction.rasterizer.interpolation import interpolate_attributes
from dubfew.reconstruction.rasterizer.raster import rasterize_mesh
from dubfew.reconstruction.track import Camera, Track
from dubfew.utils.jit import njit_cached

# The mask is the convex hull of these landmarks: below the nose, cheeks, jaw line, chin.
MOUTH_MASK_LANDMARKS = (
    2, 97, 326, 98, 327, 203, 423, 206, 426, 207, 427, 192, 416, 214, 434, 135, 364, 169, 394,
    170, 395, 140, 369, 171, 396, 175, 136, 365, 150, 379, 149, 378, 176, 400, 148, 377, 152,
)  # fmt: skip
# Side of the head box over the head's larger extent: a small margin around the landmarks.
HEAD_BOX_SCALE = 1.12
# Side of the mouth window over the mask's larger extent. The margin shows the network the skin
# around the seam; a larger one leaves fewer pixels for the mouth.
MOUTH_WINDOW_SCALE = 1.22
# Width of the mask's soft edge over the window's side. The edge lies inside of the hull, so that a
# wider one makes less of the mouth opaque.
MASK_FEATHER_FRACTION = 0.075
# Corners with which every hull is stored: more than the hulls of faces have. Part of stored files.
NUM_HULL_CORNERS = 48
# Edge of the image of the mouth's region in the texture's plane, that of a neural texture, and
# its margin around the landmarks' hull, texels.
REGION_TEXELS, REGION_MARGIN_TEXELS = 256, 2
PROJECTION_BLOCK_FRAMES = 256  # frames whose projected points are in memory at once


@dataclass(frozen=True)
class FaceRegions:
    """Image regions of N frames, px.

    Attributes:
        box: square crop of the head: left, top, right, bottom. [N, 4]
        window: square around the mask: left, top, side. [N, 3]
        hull: corners of the convex mask in order; the last corner is repeated to fill. [N, 48, 2]
    """

    box: NDArray[np.float32]
    window: NDArray[np.float32]
    hull: NDArray[np.float32]


def compute_face_regions(
    head: HeadModel,
    shape: NDArray,  # [S]
    rotation: NDArray,  # [N, 3] rad
    translation: NDArray,  # [N, 3] m
    camera: Camera,
) -> FaceRegions:
    """Compute head boxes, mouth windows and masks of N frames of one identity.

    Args:
        head: head model.
        shape: identity coefficients. [S]
        rotation: head rotations, axis-angle, rad. [N, 3]
        translation: origin of the head in camera space, m. [N, 3]
        camera: intrinsics.

    Raises:
        AssetError: The head model lacks landmarks of the mouth mask.
    """
    # Jaw fully closed and fully open, expression at rest: both together enclose every mouth.
    jaws = np.array([[0, 0, 0], [MAX_JAW_OPENING_RADIANS, 0, 0]], np.float32)
    at_rest = np.zeros((2, len(head.expression_basis)), np.float32)
    both_jaws = head.vertices(shape, at_rest, jaws)
    mask_points = np.matmul(head.point_matrix(MOUTH_MASK_LANDMARKS), both_jaws).reshape(1, -1, 3)
    # The head's box encloses the vertices that carry landmarks: without scalp and neck.
    face_points = both_jaws[:, head.landmark_matrix().any(0)].reshape(1, -1, 3)
    box = np.empty((len(rotation), 4), np.float32)
    window = np.empty((len(rotation), 3), np.float32)
    hull = np.empty((len(rotation), NUM_HULL_CORNERS, 2), np.float32)
    for start in range(0, len(rotation), PROJECTION_BLOCK_FRAMES):
        rows = slice(start, start + PROJECTION_BLOCK_FRAMES)
        pose = rotvecs_to_matrices(rotation[rows]), translation[rows], camera
        center, side = _enclosing_square(_project_static_points(face_points, *pose))
        side = side * HEAD_BOX_SCALE
        box[rows] = np.concatenate([center - side / 2, center + side / 2], 1)

        image_points = _project_static_points(mask_points, *pose)
        center, side = _enclosing_square(image_points)
        side = side * MOUTH_WINDOW_SCALE
        window[rows] = np.concatenate([center - side / 2, side], 1)
        for row, points in enumerate(image_points, start):
            hull[row] = _padded_convex_hull(points)
    return FaceRegions(box, window, hull)


def _project_static_points(
    points: NDArray, rotation: NDArray, translation: NDArray, camera: Camera
) -> NDArray[np.float32]:
    """Project the same head-space points [1, P, 3] into every frame's image. [N, P, 2]"""
    repeated = np.repeat(points, len(rotation), 0)
    return project_posed_points(repeated, rotation, translation, camera)[..., :2]


def _enclosing_square(points: NDArray[np.float32]) -> tuple[NDArray, NDArray]:
    """Measure center [N, 2] and larger extent [N, 1] of image points [N, P, 2]."""
    low, high = points.min(1), points.max(1)
    return (low + high) / 2, (high - low).max(1, keepdims=True)


def compute_track_regions(track: Track, head: HeadModel) -> FaceRegions:
    """Compute head boxes, mouth windows and masks of a whole track.

    Args:
        track: the track.
        head: head model of the track.
    """
    return compute_face_regions(head, track.shape, track.rotation, track.translation, track.camera)


def project_rest_meshes(
    track: Track, head: HeadModel, jaw_openings: tuple[float, ...]
) -> NDArray[np.float32]:
    """Project the head at rest, with some openings of its jaw, into every frame of a track.

    Args:
        track: N frames.
        head: head model of the track.
        jaw_openings: J openings, from 0 (closed) to 1 (fully open).

    Returns:
        x and y in px, depth in m. [N, J, V, 3]
    """
    jaws = np.zeros((len(jaw_openings), 3), np.float32)
    jaws[:, 0] = np.array(jaw_openings) * MAX_JAW_OPENING_RADIANS
    at_rest = np.zeros((len(jaws), len(head.expression_basis)), np.float32)
    meshes = head.vertices(track.shape, at_rest, jaws)
    points = np.repeat(meshes.reshape(1, -1, 3), len(track), 0)
    projected = project_posed_points(
        points, rotvecs_to_matrices(track.rotation), track.translation, track.camera
    )
    return projected.reshape(len(track), *meshes.shape)


def compute_face_hulls(track: Track, head: HeadModel) -> NDArray[np.float32]:
    """Compute the hull of all landmarks of the face, with its jaw closed and open.

    Args:
        track: N frames.
        head: head model of the track.

    Returns:
        Corners in order, padded with the last one, px. [N, 48, 2]
    """
    meshes = project_rest_meshes(track, head, (0.0, 1.0))[..., :2]
    points = meshes[:, :, head.landmark_matrix().any(0)].reshape(len(track), -1, 2)
    return np.stack([_padded_convex_hull(each) for each in points])


@dataclass(frozen=True)
class SurfaceRegion:
    """A region of a head's surface, as an image in the texture's plane.

    Attributes:
        texels: True inside. [H, W]
        faces: the head's faces. [F, 3]
        uv: the head's texture coordinates. [V, 2]
        whole_faces: True for faces that are inside whatever the texels say. [F]
    """

    texels: NDArray[np.bool_]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    whole_faces: NDArray[np.bool_]

    def rasterize(self, mesh: NDArray, height: int, width: int) -> NDArray[np.bool_]:
        """Draw the region of a projected mesh.

        Args:
            mesh: x and y in px, depth above 0. [V, 3]
            height: rows of the picture.
            width: columns of the picture.

        Returns:
            True where the picture shows the region. [height, width]
        """
        raster = rasterize_mesh(mesh, self.faces, height, width)
        uv = interpolate_attributes(raster, self.faces, self.uv)
        size = np.array(self.texels.shape[::-1])
        column, row = np.clip((uv * size).astype(np.int64), 0, size - 1).transpose(2, 0, 1)
        return raster.coverage & (self.texels[row, column] | self.whole_faces[raster.face_id])


def make_mouth_region(head: HeadModel) -> SurfaceRegion:
    """Make the region of the lower face: from below the nose to the chin and the cheeks.

    The region is the hull of `MOUTH_MASK_LANDMARKS` in the texture's plane, so that every head
    model has the same one, and the faces that fill the opening between the lips.

    Args:
        head: head model.

    Source: Saunders and Namboodiri 2024 (arXiv 2401.06126), section 3.2, has a fixed mask in the
    texture's plane, which the paper does not print.
    """
    outline = head.point_matrix(MOUTH_MASK_LANDMARKS) @ head.uv
    centers = (np.mgrid[:REGION_TEXELS, :REGION_TEXELS][::-1] + 0.5) / REGION_TEXELS
    inside = Delaunay(outline).find_simplex(np.moveaxis(centers, 0, -1)) >= 0
    # A texel at the outline whose center is outside still shows skin of the region: without it
    # the edge of the chin, where the mesh ends, would be left unpainted.
    texels = binary_dilation(inside, iterations=REGION_MARGIN_TEXELS)
    return SurfaceRegion(texels, head.faces, head.uv, head.mouth_filling[0])


def _padded_convex_hull(points: NDArray) -> NDArray[np.float32]:
    """Find the corners of the convex hull in order, padded with the last corner. [48, 2]"""
    corners = points[ConvexHull(points).vertices][:NUM_HULL_CORNERS]
    padding = np.repeat(corners[-1:], NUM_HULL_CORNERS - len(corners), 0)
    return np.concatenate([corners, padding]).astype(np.float32)


def render_soft_mask(
    hull: NDArray[np.float32],  # [48, 2] px
    feather_width: float,
    left: float,
    top: float,
    pixel_size: float,
    height: int,
    width: int,
) -> NDArray[np.float32]:  # [height, width]
    """Render the opacity of a mask: 0 on and outside of the hull, rising to 1 inside.

    Args:
        hull: corners of a convex polygon, px. [48, 2]
        feather_width: width of the soft edge, px.
        left: image x of the mask's left edge, px.
        top: image y of the mask's top edge, px.
        pixel_size: image px per mask pixel.
        height: rows of the mask.
        width: columns of the mask.

    Returns:
        Opacity in [0, 1], sampled at pixel centers. [height, width]
    """
    out = np.empty((height, width), np.float32)
    _soft_mask_kernel(
        np.ascontiguousarray(hull, np.float32), feather_width, left, top, pixel_size, out
    )
    return out


@njit_cached
def _soft_mask_kernel(hull, feather_width, left, top, pixel_size, out):
    """Fill ``out`` with the smoothstep of each pixel's distance from the hull's edges."""
    count = len(hull)
    # The sign of the area gives the direction in which the corners run.
    area = 0.0
    for k in range(count):
        j = (k + 1) % count
        area += hull[k, 0] * hull[j, 1] - hull[j, 0] * hull[k, 1]
    orientation = 1.0 if area > 0 else -1.0
    # The distance to an edge's line is a x + b y + c, positive inside. Edges of no length come
    # from the repeated last corner.
    lines = np.empty((count, 3))
    edges = 0
    for k in range(count):
        j = (k + 1) % count
        ex = hull[j, 0] - hull[k, 0]
        ey = hull[j, 1] - hull[k, 1]
        length = (ex * ex + ey * ey) ** 0.5
        if length < 1e-6:
            continue
        lines[edges, 0] = -orientation * ey / length
        lines[edges, 1] = orientation * ex / length
        lines[edges, 2] = orientation * (ey * hull[k, 0] - ex * hull[k, 1]) / length
        edges += 1
    width = out.shape[1]
    inside = np.empty(width)
    for row in range(out.shape[0]):
        y = top + (row + 0.5) * pixel_size
        # Inside of a convex hull the distance from it is the smallest of all lines'. Line by line,
        # a row is computed in vectors.
        inside[:] = feather_width
        for k in range(edges):
            across, rest = lines[k, 0], lines[k, 1] * y
            for column in range(width):
                x = left + (column + 0.5) * pixel_size
                inside[column] = min(inside[column], across * x + rest + lines[k, 2])
        for column in range(width):
            t = max(inside[column], 0.0) / feather_width
            out[row, column] = t * t * (3 - 2 * t)


def render_mouth_mask(
    track: Track, head: HeadModel, frame_index: int, height: int, width: int
) -> NDArray:
    """Render the opacity of one frame's mouth mask over the whole image.

    Args:
        track: the track.
        head: head model of the track.
        frame_index: row of the track.
        height: height of the image, px.
        width: width of the image, px.

    Returns:
        Opacity in [0, 1]. [height, width]
    """
    regions = compute_track_regions(track.select([frame_index]), head)
    return render_region_mask(regions, 0, height, width)


def render_region_mask(
    regions: FaceRegions, row: int, height: int, width: int
) -> NDArray[np.float32]:  # [height, width]
    """Render the opacity of one frame's mouth mask over the whole image.

    Args:
        regions: regions of a track.
        row: row of the frame.
        height: height of the image, px.
        width: width of the image, px.

    Returns:
        Opacity in [0, 1]. [height, width]
    """
    hull = regions.hull[row]
    feather_width = MASK_FEATHER_FRACTION * float(regions.window[row, 2])
    # Outside of the hull's bounds, which is most of a large frame, it is 0.
    low, high = np.floor(hull.min(0)), np.ceil(hull.max(0))
    left, right = (int(np.clip(end, 0, width)) for end in (low[0], high[0]))
    top, bottom = (int(np.clip(end, 0, height)) for end in (low[1], high[1]))
    mask = np.zeros((height, width), np.float32)
    mask[top:bottom, left:right] = render_soft_mask(
        hull, feather_width, left, top, 1.0, bottom - top, right - left
    )
    return mask
