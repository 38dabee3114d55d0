"""The pure core: standard library only, no clock, no await, no I/O."""
