"""XManager: a launch script for XManager on Cloud, with a work unit per root of the tree.

Of the executors in XManager's package only ``xm_cloud.KubernetesJobExecutor`` can say all of it:
v4 to v6e slices, that a job waits for another's end, restarts. ``xm_local.Vertex`` knows TPUs up to
v3, ``xm_local.Kubernetes`` drops the number of chips, and neither restarts (0.8.5).
"""

from __future__ import annotations

from collections.abc import Mapping

from repro.launch.jobs import Launch
from repro.launch.rendering import render

START = "launch.py"
"""The file that starts everything."""
RUNS = "/bucket"
"""Where the image must show the bucket that the variable SPACTOR_BUCKET names."""
DATA = "/data"
"""Where it must show the bucket that SPACTOR_DATA_BUCKET names, where one is."""
RETRIES_PER_HOST = 20


def files(launch: Launch) -> Mapping[str, str]:
    """One Python script, which lists the jobs and launches them when it is run."""
    units = [
        [
            {
                "name": job.name,
                "parent": job.parent,
                "tpu": f"TPU_{job.slice.tpu.upper()}",
                "topology": job.slice.topology,
                "hosts": job.slice.hosts,
                "retries": job.slice.hosts * RETRIES_PER_HOST,
                "options": launch.options(job, RUNS, DATA),
            }
            for job in jobs
        ]
        for jobs in launch.families().values()
    ]
    return {"launch.py": render("xmanager.py.j2", launch=launch, units=units, runs=RUNS, data=DATA)}
