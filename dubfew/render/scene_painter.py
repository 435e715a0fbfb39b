"""Painting of a driven scene: decoding, prediction and compositing, each in a thread."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from dubfew.marks.watermark import WatermarkEmbedder
from dubfew.media import Frame, read_audio
from dubfew.media.mel import resample_audio
from dubfew.render.accelerators import accelerate_actor
from dubfew.render.background import BackgroundPreserver
from dubfew.render.compositing import MouthCompositor
from dubfew.render.debug import PaintObserver
from dubfew.render.job import RenderJob
from dubfew.render.painting import DrivingSound
from dubfew.render.predictors import make_predictor
from dubfew.render.redo import skip_outside
from dubfew.render.scene import DrivenScene
from dubfew.render.sources import SOUND_AFTER_SECONDS
from dubfew.render.streaming import (
    PREPARED_BATCHES,
    WAITING_FRAMES,
    composite_frames,
    make_frame_tasks,
    match_frames,
    predict_frames,
    prepare_frames,
)
from dubfew.utils.prefetch import prefetch
from dubfew.utils.torch_threads import share_cores


class ScenePainter:
    """Paints the mouths of one job, frame after frame.

    Args:
        job: the render.
        scene: its scene, with the mouths to paint.
        marker: embeds a watermark into the mouths; None for no watermark.
        observer: is shown every painted part, see `MouthCompositor`; None for no observer.

    Attributes:
        accelerator_note: one line about why another runtime computes the network than the options
            name, or "".
    """

    def __init__(
        self,
        job: RenderJob,
        scene: DrivenScene,
        marker: WatermarkEmbedder | None,
        observer: PaintObserver | None = None,
    ) -> None:
        self._job, self._scene = job, scene
        actor, self.accelerator_note = accelerate_actor(
            job.actor, job.options.accelerator, job.device
        )
        self._predictor = make_predictor(
            actor,
            job.device,
            scene.track,
            lambda: _read_driving_sound(job, scene),
            # In a reenactment alone the frames show the mouths that are rendered.
            align_meshes=job.sources.drive == "self",
        )
        self._background = BackgroundPreserver(job.parser)
        kept = self._background if job.options.post_processing else None
        self._compositor = MouthCompositor(
            self._predictor.references.footage, kept, marker, observer
        )

    @property
    def seconds(self) -> dict[str, float]:
        """Return the seconds that each stage has taken so far."""
        return {**self._predictor.seconds, **self._compositor.timer.seconds}

    @property
    def left_rows(self) -> dict[int, str]:
        """Return why frames stayed as they are, for what they show, by their rows of the track."""
        return self._predictor.left_rows

    @property
    def relit(self) -> int:
        """Return the painted frames so far whose light is not that of the actor's footage."""
        return self._predictor.light.relit

    def describe_unmatched(self) -> str:
        """Describe the frames whose light was not matched in one line; empty if all were."""
        return self._predictor.light.describe_unmatched()

    def paint_frames(
        self,
        weights: NDArray[np.float32],  # [N]
    ) -> Generator[Frame, None, None]:
        """Decode the scene and paint its mouths. To be called once.

        Args:
            weights: frames with weight 0 are not painted. [N]

        Yields:
            The frames of the output, in order.

        Raises:
            ActorNotFoundError: The actor was deleted meanwhile.
            MediaError: The scene cannot be read.
        """
        job, scene = self._job, self._scene
        shown = scene.schedule.iter_frames(job.sources.scene, job.sources.scene_info.fps)
        # All threads are closed here, so that on an error none still uses what is closed next.
        with (
            self._background,
            share_cores(),
            closing(prefetch(shown, WAITING_FRAMES)) as frames,
            closing(
                make_frame_tasks(frames, scene.track, scene.motion, self._predictor, scene.filmed)
            ) as tasks,
            closing(
                prefetch(
                    prepare_frames(skip_outside(tasks, weights), self._predictor),
                    PREPARED_BATCHES,
                )
            ) as prepared,
            closing(prefetch(match_frames(prepared, self._predictor), PREPARED_BATCHES)) as matched,
            closing(
                prefetch(predict_frames(matched, self._predictor), WAITING_FRAMES)
            ) as predicted,
            closing(
                prefetch(composite_frames(predicted, self._compositor), WAITING_FRAMES)
            ) as composited,
        ):
            for frame in composited:
                job.actor.revision.check_exists()  # a deleted actor is rendered no further
                yield frame


def _read_driving_sound(job: RenderJob, scene: DrivenScene) -> DrivingSound:
    """Read what a painting renderer hears: the new sound, else the scene's own."""
    sources = job.sources
    times = scene.track.times + sources.start - job.options.offset / 1000
    sound = None
    if sources.audio is not None:
        end = float(times[-1]) + SOUND_AFTER_SECONDS
        sound = read_audio(sources.audio, track=sources.audio_track, seconds=end)
    elif sources.scene_info.has_audio:
        sound = read_audio(sources.scene)
    if sound is None:
        return DrivingSound(np.zeros(0, np.float32), times)
    return DrivingSound(resample_audio(sound.samples, sound.rate), times)
