"""Ablations: mouth PSNR, SSIM and sharpness without one part of dubfew at a time.

    python -m benchmarks.ablations [--clips ...] [--steps N] [--trained N] [--only NAME,...]

Window level (see `benchmarks.windows`). One part at a time is left out or replaced, see
`ABLATION_VARIANTS`, in training and in rendering alike. Every variant is measured without training
(bare warp, and prior after zero steps) on all clips, and adapted to the first ``--trained`` clips,
of which a contact sheet is written.

Source: Saunders and Namboodiri 2024, "Dubbing for Everyone: Data-Efficient Visual Dubbing using
Neural Rendering Priors" (arXiv 2401.06126), table 4, for the form.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.cells import NO_PRIOR_VARIANT, PRODUCT_VARIANT, Cell, make_benchmark, make_parser
from benchmarks.common import markdown_table
from benchmarks.windows import WINDOW_METRICS, Variant, WindowMetrics, mean_metrics
from dubfew.adapt.options import REPLAY_BY_DEFAULT
from dubfew.evaluate.contact_sheets import draw_contact_sheet, save_contact_sheet
from dubfew.evaluate.face_geometry import fit_similarity_transform
from dubfew.references.footage import Footage
from dubfew.references.inputs import RenderInputs
from dubfew.references.selection import farthest_point_sampling

# Clips that are measured and clips that are adapted to, unless named: every variant trains anew.
MAX_CLIPS, NUM_ADAPTED_CLIPS = 4, 2
# References of a frame in the renderer ``lite``.
LITE_REFERENCES = 3


def choose_nearest(count: int) -> Any:
    """Make a rule that keeps the nearest references; the renderer's other inputs repeat the first.

    Args:
        count: references to keep.
    """

    def choose(footage: Footage, row: int, bank: NDArray) -> NDArray:
        distance = np.linalg.norm(footage.key[bank] - footage.key[row], axis=1)
        return np.asarray(bank[np.argsort(distance, kind="stable")[:count]])

    return choose


def choose_at_random(footage: Footage, row: int, bank: NDArray) -> NDArray:
    """Choose references at random, the same ones for a frame every time.

    Args:
        footage: windows of the clip.
        row: the target.
        bank: rows to choose from. [M]
    """
    rng = np.random.default_rng(int(footage.frames[row]))
    return np.asarray(rng.permutation(bank)[:LITE_REFERENCES])


def choose_earliest(footage: Footage, row: int, bank: NDArray) -> NDArray:
    """Choose the first references of the footage for every target.

    Args:
        footage: windows of the clip; unused.
        row: the target; unused.
        bank: rows to choose from. [M]
    """
    return np.sort(bank)[:LITE_REFERENCES]


def choose_spanning(count: int) -> Any:
    """Make a rule that keeps fewer stored references, selected as ``dubfew adapt`` selects them.

    Args:
        count: references to keep.
    """

    def choose(footage: Footage, row: int, bank: NDArray) -> NDArray:
        return np.asarray(bank[farthest_point_sampling(footage.key[bank], count)])

    return choose


def place_rigidly(inputs: RenderInputs) -> RenderInputs:
    """Place each reference by one similarity transform, fitted to the face around the mask."""
    grids = inputs.sampling_grid.clone()
    size = grids.shape[2]
    centers = (np.arange(size) + 0.5) * (2 / size) - 1
    own = np.stack(np.meshgrid(centers, centers, indexing="xy"), -1)
    around = ((inputs.mesh_mask > 0) & (inputs.alpha <= 0))[0, 0].numpy()
    for index, mesh_grid in enumerate(inputs.sampling_grid[0].numpy()):
        matrix = fit_similarity_transform(own[around], mesh_grid[around])
        moved = own @ matrix[:, :2].T + matrix[:, 2]
        grids[0, index] = torch.from_numpy(moved).to(grids)
    return replace(inputs, sampling_grid=grids)


def keep_vertices(inputs: RenderInputs, seen: torch.Tensor, vertices: NDArray) -> NDArray:
    """Return the vertices as they are, in place of `align_vertices`."""
    return vertices


def keep_features(texture: object, actor: int, rgb: object) -> None:
    """Leave a texture as it is, in place of `NeuralTexture.initialize_from_image`."""


# Name of the constant that decides how sharply references are blended, for patches.
TEMPERATURE_NAME = "dubfew.references.warping.BLEND_TEMPERATURE"
# Variants by the names that ``--only`` takes. The labels are rows of the tables.
ABLATION_VARIANTS: Mapping[str, Variant] = {
    "product": PRODUCT_VARIANT,
    "prior": NO_PRIOR_VARIANT,
    "mixed": Variant(
        "no other people mixed in" if REPLAY_BY_DEFAULT else "other people mixed in, 1:1",
        mixed=not REPLAY_BY_DEFAULT,
    ),
    "random": Variant("random references", choose=choose_at_random),
    "first": Variant("always the first references", choose=choose_earliest),
    "stored": Variant("8 stored references, not 48", choose=choose_spanning(8)),
    "one": Variant("1 reference a frame", choose=choose_nearest(1)),
    "two": Variant("2 references a frame", choose=choose_nearest(2)),
    "mesh": Variant("references placed rigidly, not by the mesh", edit=place_rigidly),
    "alignment": Variant(
        "no photometric alignment",
        patches={"dubfew.data.samples.align_vertices": keep_vertices},
        aligns=False,
    ),
    "light": Variant(
        "no light matching", patches={"dubfew.references.warping.MAX_COLOR_CORRECTION": 0.0}
    ),
    "texture": Variant(
        "texture starts from the prior's mean, not unwrapped",
        patches={"dubfew.textures.NeuralTexture.initialize_from_image": keep_features},
    ),
    "detail": Variant("fine detail not restored", restores=False),
    "cold": Variant("blending: the nearest takes all", patches={TEMPERATURE_NAME: 1e-6}),
    "warm": Variant("blending: temperature x 4", patches={TEMPERATURE_NAME: 0.016}),
    "even": Variant("blending: plain mean", patches={TEMPERATURE_NAME: 1e6}),
}


def format_ablation_table(found: Mapping[str, list[WindowMetrics]]) -> str:
    """Format one line per variant: its means, and the product's minus them.

    Args:
        found: metrics of the same clips, in the same order, for every variant.
    """
    product = mean_metrics(found["product"])
    rows: list[list[object]] = []
    for name, figures in found.items():
        means = mean_metrics(figures)
        worth = [f"{product[measure] - means[measure]:+.3f}" for measure in WINDOW_METRICS]
        label = "**product**" if name == "product" else ABLATION_VARIANTS[name].label
        blank: list[object] = [None] * len(WINDOW_METRICS)
        rows.append([label, *means.values(), *(blank if name == "product" else worth)])
    worths = [f"worth: {measure}" for measure in WINDOW_METRICS]
    return markdown_table(["", *WINDOW_METRICS, *worths], rows)


def drop_incomplete_clips(
    cells: Mapping[str, list[Cell]], results: Mapping[str, list[dict[str, Any] | None]]
) -> tuple[dict[str, list[Cell]], dict[str, list[dict[str, Any]]]]:
    """Drop the clips that any variant failed on.

    Args:
        cells: cells of every variant, for the same clips in the same order.
        results: their results; None for a cell that failed.

    Returns:
        Cells and results of the remaining clips.
    """
    whole = [
        index
        for index in range(len(cells["product"]))
        if all(found[index] is not None for found in results.values())
    ]
    kept = {name: [found[index] for index in whole] for name, found in results.items()}
    return {name: [some[i] for i in whole] for name, some in cells.items()}, kept  # type: ignore[return-value]


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a cell failed."""
    parser = make_parser(__doc__)
    parser.add_argument("--trained", type=int, default=NUM_ADAPTED_CLIPS, help="clips to adapt to")
    parser.add_argument(
        "--only",
        default=",".join(ABLATION_VARIANTS),
        help="variants, separated by commas; %(default)s",
    )
    options = parser.parse_args(arguments)
    names = [name for name in ABLATION_VARIANTS if name in ["product", *options.only.split(",")]]
    if not set(options.only.split(",")) <= set(ABLATION_VARIANTS):
        parser.error(f"--only {options.only}: choose among {', '.join(ABLATION_VARIANTS)}")
    # Every variant on every clip; steps of training for the first clips alone.
    bench = make_benchmark(options, most=MAX_CLIPS)
    clips = bench.usable()
    trained = clips[: options.trained]
    requested = {
        name: [
            Cell(
                clip,
                bench.known(clip),
                options.steps if clip in trained else 0,
                ABLATION_VARIANTS[name],
            )
            for clip in clips
        ]
        for name in names
    }
    # In one call, so that the estimate of the time is of the whole.
    done = iter(bench.measure(cell for cells in requested.values() for cell in cells))
    cells, results = drop_incomplete_clips(
        requested, {name: [next(done) for _ in requested[name]] for name in names}
    )
    adapted = [index for index, cell in enumerate(cells["product"]) if cell.steps]
    all_clips = range(len(cells["product"]))
    # One table for each of warp, prior and adapted actor.
    parts = []
    for title, stage, some in (
        ("Bare warp, no network", "warp", all_clips),
        ("Prior, zero steps", "zero", all_clips),
        (f"Adapted, {options.steps} steps", "kept", adapted),
    ):
        if some:
            figures = {name: [found[i][stage] for i in some] for name, found in results.items()}
            parts += [f"## {title}: mean of {len(some)} clips", format_ablation_table(figures)]
    # Every adapted clip by itself, and a contact sheet of it.
    rows = [
        [ABLATION_VARIANTS[name].label, *(found[index]["kept"]["psnr"] for index in adapted)]
        for name, found in results.items()
    ]
    headers = ["mouth PSNR", *(cells["product"][index].clip.name for index in adapted)]
    if adapted:
        parts += ["## Adapted, clip by clip", markdown_table(headers, rows)]
    for index in adapted:
        pairs = [
            bench.sheet_rows(cells[name][index], ABLATION_VARIANTS[name].label) for name in names
        ]
        clip = cells["product"][index].clip.stem
        sheet = draw_contact_sheet([pairs[0][0], *(own for _, own in pairs)], title=clip)
        save_contact_sheet(sheet, options.out / "sheets" / f"ablations-{clip}.png")
    notes = (
        f"Window level; {options.tests} test frames a clip. Worth: the product's figure minus "
        "that without the part. Sharpness is output / original: 1 is right, more is not better."
    )
    data = {"steps": options.steps, "results": results}
    bench.write("ablations", "Ablations", notes, parts, data)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
