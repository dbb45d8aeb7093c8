"""Recordings, videos, clips and labels, and the files they are read from; imports no other folder."""
