"""How the stand-in is trained: captions and poses learnt from simulated recordings."""
