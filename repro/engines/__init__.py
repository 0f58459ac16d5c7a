"""Engines train the nodes of the tree: ``local`` in this process, ``t5x`` through T5X.

`repro.engines.contract` defines what an engine does, `repro.engines.factory` builds one.
"""
