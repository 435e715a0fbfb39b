"""A job that compares a dub with its original."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dubfew import media
from dubfew.errors import DubfewError, MediaError
from dubfew.evaluate import judge
from dubfew.jobs.description import JobDescription
from dubfew.jobs.running import check_job, run_job
from dubfew.media import probe
from dubfew.progress import Progress
from dubfew.registry import Registry
from tests.footage import cut


@pytest.mark.slow
def test_a_comparison_and_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The page itself has tests of its own (tests/evaluate), and takes ten times longer.
    def judge_output(reference: Path, output: Path, options: Any, *, progress: Any) -> None:
        assert (reference, output) == (original, dub)
        progress(Progress("compare", 3, 6, fraction=0.5))
        progress(Progress("done", 1, 1, fraction=1.0))
        Path(options.html).write_text(f"{output} {output.name} against {reference}")

    monkeypatch.setattr(judge, "judge_output", judge_output)
    original, dub = tmp_path / "scene.mp4", tmp_path / "dub.mp4"
    cut(original, 0, 6)
    cut(dub, 20, 26)
    registry = Registry(tmp_path / "home")
    job = JobDescription(
        kind="compare", video=original, outputs={"<dub>": dub}, options={"measure": True}
    )
    out = tmp_path / "output.mp4"
    check_job(job, out, registry)
    seen: list[Progress] = []
    result = run_job(job, out, registry, seen.append)
    assert result == {"output": "output.mp4", "frames": 6, "pages": {"<dub>": "page0.html"}}
    # Two columns of 480 px, with the enlarged mouths below.
    assert probe(out).width == 960
    assert (tmp_path / "page0.html").read_text("utf-8") == (
        "&lt;dub&gt; &lt;dub&gt; against original"
    )
    assert {each.stage for each in seen} == {"compare"}
    fractions = [each.fraction or 0 for each in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.25, 1.0)
    # A preview is half as large; its name is said, not that of the stored file.
    monkeypatch.setattr(
        media, "probe", lambda path: replace(probe(path), width=256 if path == dub else 512)
    )
    with pytest.raises(DubfewError, match="<dub> is 256 x 512 px but the original 512 x 512"):
        check_job(job, out, registry)
    lost = JobDescription(kind="compare", video=original, outputs={"a": tmp_path / "gone.mp4"})
    with pytest.raises(MediaError, match="gone"):
        check_job(lost, out, registry)
