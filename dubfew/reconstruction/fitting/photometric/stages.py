"""The stages of the photometric fit: optimized parameters, frames, and weights of the terms.

The paper minimizes its loss with Adam. Here Gauss-Newton steps minimize the same sum: one step
takes the place of dozens, and there is a damping instead of a learning rate.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), sec. 3.1 and appendix A.1, eq. 3. The solver follows
Thies et al. 2016, "Face2Face: Real-Time Face Capture and Reenactment of RGB Videos" (CVPR).
"""

from __future__ import annotations

from dataclasses import dataclass

# Names of the parameters that vary from frame to frame, and of those that a clip shares.
FRAME_PARAMETERS = ("rotation", "translation", "jaw", "expression")
CLIP_PARAMETERS = ("shape", "focal")


@dataclass(frozen=True)
class TermWeights:
    """Weights of the terms of the loss; those of squares are inverse variances.

    Attributes:
        photometric: weight of the mean absolute difference of color over a face.
        landmark: factor on the landmark fit's own precision.
        expression: weight of the squared expression coefficients.
        shape: weight of the squared shape coefficients.
        focal: weight of the squared change of the focal length's logarithm.
        face_temporal: weight of the squared change of jaw and expression from frame to frame, in
            units of their own spread.
        head_temporal: weight of the squared change of rotation (rad) and translation (face widths)
            from frame to frame.
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
    """Settings of one stage.

    Attributes:
        name: name of the stage in progress reports.
        optimized_parameters: names from FRAME_PARAMETERS and CLIP_PARAMETERS; the others stay.
        estimates_color: whether albedo and the clip's light are estimated between the steps.
        num_frames: number of frames that are fitted together, spread over the clip; None fits all
            of them, block by block.
        steps: number of Gauss-Newton steps.
        damping: fraction of the Hessian's diagonal that is added to it, as Levenberg and Marquardt
            do: larger values make shorter, safer steps.
        weights: weights of the terms.
    """

    name: str
    optimized_parameters: tuple[str, ...]
    estimates_color: bool
    num_frames: int | None
    steps: int
    damping: float
    weights: TermWeights


# The paper's stage 1, identity by MICA, is in the track that the fit begins with. Stage 2 refines
# the shape only where it came from landmarks: MICA's is better than what some frames of one clip
# show. More photometric weight leaves the focal length further from the truth, see
# docs/reconstruction.md.
JOINT_STAGE = FitStage(
    "joint",
    (*FRAME_PARAMETERS, *CLIP_PARAMETERS),
    estimates_color=True,
    num_frames=12,
    steps=8,
    damping=1e-3,
    weights=TermWeights(photometric=2e4),
)
# Stage 3 ties frames to their neighbors. Its weights are the middle one of three settings that were
# measured on two synthetic people (docs/reconstruction.md): more photometric weight makes lips
# steadier and puts them further off.
FRAME_STAGE = FitStage(
    "frames",
    FRAME_PARAMETERS,
    estimates_color=False,
    num_frames=None,
    steps=4,
    damping=1e-3,
    weights=TermWeights(photometric=1e5, landmark=0.3, face_temporal=1.0, head_temporal=1e4),
)
