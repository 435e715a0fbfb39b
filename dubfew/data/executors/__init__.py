"""Ways of doing many jobs at once, such as preparing clips, a file each.

A new one is a new module here that defines ``run_jobs``, a `dubfew.data.jobs.JobExecutor`. The
names are known without importing the modules.
"""

from __future__ import annotations

from dubfew.data.jobs import JobExecutor
from dubfew.utils.extension_table import ExtensionTable

# `prepare_footage` calls its choice of executor the engine, and so does the command line.
CLIP_EXECUTORS: ExtensionTable[JobExecutor] = ExtensionTable("engine", __name__, "run_jobs")
