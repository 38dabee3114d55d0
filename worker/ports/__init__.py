"""What the inside asks of the edges, as protocols; one module a subject.

Rules: the inside imports these and never an implementation; `worker.app` hands them in. A port that
answers with a value of `worker.domain` has already judged its driver's errors.
"""
