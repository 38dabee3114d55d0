"""View models of the views beside "Now": frozen, pure, made from answers."""
