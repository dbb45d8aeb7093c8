"""What each notebook computes, a file each, and what they share: profiles, results, recorded figures."""
