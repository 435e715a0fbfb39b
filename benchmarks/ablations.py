"""What each part is worth: mouth PSNR, SSIM and sharpness without it.

    python -m benchmarks.ablations [--clips ...] [--steps N] [--trained N] [--only NAME,...]

Window level (see `benchmarks.windows`). One part at a time is left out or replaced, see
`VARIANTS`, in learning and in rendering alike. Every variant is measured without learning (bare
warp, and prior after zero steps) on all clips, and adapted on the first ``--trained`` of them.
Writes a contact sheet of the adapted variants for each of these.

After paper 003, table 4.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.cells import NO_PRIOR, PRODUCT, Cell, bench_of, bench_parser
from benchmarks.common import markdown_table
from benchmarks.windows import MEASURES, Figures, Variant, mean_figures
from dubfew.adapt.options import REPLAY_BY_DEFAULT
from dubfew.evaluate.contact_sheets import draw_contact_sheet, save_contact_sheet
from dubfew.evaluate.face_geometry import fit_similarity_transform
from dubfew.references.footage import Footage
from dubfew.references.inputs import RenderInputs
from dubfew.references.selection import farthest_point_sampling

MOST, TRAINED = 4, 2
REFERENCES = 3  # of the `lite` renderer


def nearest(count: int) -> Any:
    """Only the nearest references; a renderer that wants more is given the nearest again."""

    def choose(footage: Footage, row: int, bank: NDArray) -> NDArray:
        distance = np.linalg.norm(footage.key[bank] - footage.key[row], axis=1)
        return np.asarray(bank[np.argsort(distance, kind="stable")[:count]])

    return choose


def at_random(footage: Footage, row: int, bank: NDArray) -> NDArray:
    """References that have nothing to do with the wanted frame, the same ones every time."""
    rng = np.random.default_rng(int(footage.frames[row]))
    return np.asarray(rng.permutation(bank)[:REFERENCES])


def earliest(footage: Footage, row: int, bank: NDArray) -> NDArray:
    """The first references of the footage, whatever frame is wanted."""
    return np.sort(bank)[:REFERENCES]


def stored(count: int) -> Any:
    """Fewer stored references, chosen as `dubfew.adapt` chooses them."""

    def choose(footage: Footage, row: int, bank: NDArray) -> NDArray:
        return np.asarray(bank[farthest_point_sampling(footage.key[bank], count)])

    return choose


def rigid(inputs: RenderInputs) -> RenderInputs:
    """References placed by one similarity each, that of the face around the mask."""
    places = inputs.sampling_grid.clone()
    size = places.shape[2]
    at = (np.arange(size) + 0.5) * (2 / size) - 1
    here = np.stack(np.meshgrid(at, at, indexing="xy"), -1)
    around = ((inputs.mesh_mask > 0) & (inputs.alpha <= 0))[0, 0].numpy()
    for index, there in enumerate(inputs.sampling_grid[0].numpy()):
        matrix = fit_similarity_transform(here[around], there[around])
        moved = here @ matrix[:, :2].T + matrix[:, 2]
        places[0, index] = torch.from_numpy(moved).to(places)
    return replace(inputs, sampling_grid=places)


def left_alone(inputs: RenderInputs, seen: torch.Tensor, vertices: NDArray) -> NDArray:
    """Stands in for `aligned`."""
    return vertices


def not_started(texture: object, actor: int, rgb: object) -> None:
    """Stands in for `NeuralTexture.initialize_from_image`."""


TEMPERATURE = "dubfew.references.warping.BLEND_TEMPERATURE"
VARIANTS: Mapping[str, Variant] = {
    "product": PRODUCT,
    "prior": NO_PRIOR,
    "mixed": Variant(
        "no other people mixed in" if REPLAY_BY_DEFAULT else "other people mixed in, 1:1",
        mixed=not REPLAY_BY_DEFAULT,
    ),
    "random": Variant("random references", choose=at_random),
    "first": Variant("always the first references", choose=earliest),
    "stored": Variant("8 stored references, not 48", choose=stored(8)),
    "one": Variant("1 reference a frame", choose=nearest(1)),
    "two": Variant("2 references a frame", choose=nearest(2)),
    "mesh": Variant("references placed rigidly, not by the mesh", edit=rigid),
    "alignment": Variant(
        "no photometric alignment",
        patches={"dubfew.data.samples.align_vertices": left_alone},
        aligns=False,
    ),
    "light": Variant(
        "no light matching", patches={"dubfew.references.warping.MAX_COLOR_CORRECTION": 0.0}
    ),
    "texture": Variant(
        "texture starts from the prior's mean, not unwrapped",
        patches={"dubfew.textures.NeuralTexture.initialize_from_image": not_started},
    ),
    "detail": Variant("fine detail not restored", restores=False),
    "cold": Variant("blending: the nearest takes all", patches={TEMPERATURE: 1e-6}),
    "warm": Variant("blending: temperature x 4", patches={TEMPERATURE: 0.016}),
    "even": Variant("blending: plain mean", patches={TEMPERATURE: 1e6}),
}


def ablation_table(found: Mapping[str, list[Figures]]) -> str:
    """One line per variant: its means, and the product's minus them.

    Only clips that all variants have count; they come in the same order.
    """
    product = mean_figures(found["product"])
    rows: list[list[object]] = []
    for name, figures in found.items():
        means = mean_figures(figures)
        worth = [f"{product[measure] - means[measure]:+.3f}" for measure in MEASURES]
        label = "**product**" if name == "product" else VARIANTS[name].label
        blank: list[object] = [None] * len(MEASURES)
        rows.append([label, *means.values(), *(blank if name == "product" else worth)])
    worths = [f"worth: {measure}" for measure in MEASURES]
    return markdown_table(["", *MEASURES, *worths], rows)


def complete(
    cells: Mapping[str, list[Cell]], results: Mapping[str, list[dict[str, Any] | None]]
) -> tuple[dict[str, list[Cell]], dict[str, list[dict[str, Any]]]]:
    """Cells and results of those clips alone that no variant failed on."""
    whole = [
        index
        for index in range(len(cells["product"]))
        if all(found[index] is not None for found in results.values())
    ]
    kept = {name: [found[index] for index in whole] for name, found in results.items()}
    return {name: [some[i] for i in whole] for name, some in cells.items()}, kept  # type: ignore[return-value]


def main(arguments: list[str] | None = None) -> int:
    parser = bench_parser(__doc__)
    parser.add_argument("--trained", type=int, default=TRAINED, help="clips to adapt to")
    parser.add_argument(
        "--only", default=",".join(VARIANTS), help="variants, separated by commas; %(default)s"
    )
    options = parser.parse_args(arguments)
    names = [name for name in VARIANTS if name in ["product", *options.only.split(",")]]
    if not set(options.only.split(",")) <= set(VARIANTS):
        parser.error(f"--only {options.only}: choose among {', '.join(VARIANTS)}")
    bench = bench_of(options, most=MOST)
    clips = bench.usable()
    trained = clips[: options.trained]
    wanted = {
        name: [
            Cell(clip, bench.known(clip), options.steps if clip in trained else 0, VARIANTS[name])
            for clip in clips
        ]
        for name in names
    }
    # All in one go, so that the estimate is of the whole.
    done = iter(bench.measure(cell for cells in wanted.values() for cell in cells))
    cells, results = complete(wanted, {name: [next(done) for _ in wanted[name]] for name in names})
    learnt = [index for index, cell in enumerate(cells["product"]) if cell.steps]
    everyone = range(len(cells["product"]))
    parts = []
    for title, stage, some in (
        ("Bare warp, no network", "warp", everyone),
        ("Prior, zero steps", "zero", everyone),
        (f"Adapted, {options.steps} steps", "kept", learnt),
    ):
        if some:
            figures = {name: [found[i][stage] for i in some] for name, found in results.items()}
            parts += [f"## {title}: mean of {len(some)} clips", ablation_table(figures)]
    rows = [
        [VARIANTS[name].label, *(found[index]["kept"]["psnr"] for index in learnt)]
        for name, found in results.items()
    ]
    headers = ["mouth PSNR", *(cells["product"][index].clip.name for index in learnt)]
    parts += ["## Adapted, clip by clip", markdown_table(headers, rows)]
    for index in learnt:
        pairs = [bench.sheet_rows(cells[name][index], VARIANTS[name].label) for name in names]
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
