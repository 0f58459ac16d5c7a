"""Training of a tree on TPU slices: jobs, job files for SkyPilot and Slurm, and costs.

``jobs`` divides the tree into jobs on slices, ``job_files`` writes files for a launcher, and
``forecast`` estimates the cost. No module schedules or starts a machine.
"""
