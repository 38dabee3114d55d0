"""Protocols of what the core needs from the edges; one module for each subject.

Rules: the core imports these protocols and never an implementation; `worker.app` passes the
implementations in. A port that returns values of `worker.domain` has already translated the errors
of its driver.
"""
