"""The stages of the fit: what moves, over how many frames, under which terms.

The solver is Gauss and Newton's on the same sum as the paper's Adam minimises; a step of it takes
the place of dozens, so there is no learning rate but a damping.
Source: paper 003, sec. 3.1 and A.1, eq. 3; the way of solving: Thies et al. 2016 (Face2Face).
"""

from __future__ import annotations

from dataclasses import dataclass

FRAME_PARAMETERS = ("rotation", "translation", "jaw", "expression")
CLIP_PARAMETERS = ("shape", "focal")


@dataclass(frozen=True)
class TermWeights:
    """Weights of the terms: inverse variances of what is held against each.

    Attributes:
        photometric: of the mean absolute difference of colour over a face.
        landmark: factor on the landmark fit's own precision.
        expression: of the coefficients, squared.
        shape: of the coefficients, squared.
        focal: of the logarithm's distance from the start, squared.
        face_temporal: of the change of jaw and expression from frame to frame, squared, in units
            of their own spread.
        head_temporal: of the change of rotation (rad) and translation (face widths), squared.
    """

    photometric: float = 0.0
    landmark: float = 1.0
    expression: float = 1.0
    shape: float = 1.0
    focal: float = 1 / 0.4**2
    face_temporal: float = 0.0
    head_temporal: float = 0.0


@dataclass(frozen=True)
class FitStage:
    """One stage.

    Attributes:
        name: for progress.
        optimized_parameters: which parameters are optimised, of FRAME_PARAMETERS and
            CLIP_PARAMETERS.
        estimates_color: estimates albedo and the clip's light between the steps.
        num_frames: how many of the clip are looked at together, spread over it; None: all of them,
            block by block.
        steps: of Gauss and Newton.
        damping: share of the diagonal that is added to it.
        weights: of the terms.
    """

    name: str
    optimized_parameters: tuple[str, ...]
    estimates_color: bool
    num_frames: int | None
    steps: int
    damping: float
    weights: TermWeights


# Stage 1, identity from landmarks or from MICA, is in the track that the fit begins with.
# Only where landmarks gave the identity does stage 2 go on with it: MICA's is better than what
# some frames of one clip can say.
JOINT_STAGE = FitStage(
    "joint",
    (*FRAME_PARAMETERS, *CLIP_PARAMETERS),
    estimates_color=True,
    num_frames=12,
    steps=8,
    damping=1e-3,
    weights=TermWeights(photometric=2e4),
)
FRAME_STAGE = FitStage(
    "frames",
    FRAME_PARAMETERS,
    estimates_color=False,
    num_frames=None,
    steps=4,
    damping=1e-3,
    weights=TermWeights(photometric=1e5, landmark=0.3, face_temporal=1.0, head_temporal=1e4),
)
