"""The tree on TPU slices: jobs, the files that hand them to SkyPilot or Slurm, and what they cost.

Nothing here schedules or starts a machine: ``jobs`` turns the tree into jobs on slices
(``slices``), ``job_files`` writes them in a launcher's language, and ``forecast`` estimates their
cost.
"""
