"""What each notebook computes, a file each, and what they share: profiles, results, recorded figures."""

VERSION = 2  # raise it when a row or a figure comes out otherwise: every notebook runs again
