"""The life of a message: what it is, what may become of it, who must not get it."""
