"""Builders of the embedded tasks' examples from held-out documents, by what they are made of.

A builder takes a `Source`, its task's row of the table (`spactor.data.suites.embedded`) and a
limit, and returns examples. Rows name their builder as text, so reading the table loads none of
this.
"""
