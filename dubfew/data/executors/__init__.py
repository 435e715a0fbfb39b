"""Ways of preparing many clips at once; a new one is a new file here.

Every module defines ``run_jobs``, a `dubfew.data.jobs.ClipExecutor`.
"""

from __future__ import annotations

from dubfew.data.jobs import ClipExecutor
from dubfew.utils.extension_table import ExtensionTable

CLIP_EXECUTORS: ExtensionTable[ClipExecutor] = ExtensionTable("engine", __name__, "run_jobs")
