"""The simulated world: recordings, the stand-in's training, their likeness; the real profiles run without it."""
