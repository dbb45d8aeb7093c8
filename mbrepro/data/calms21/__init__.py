"""CalMS21: what the release holds, fetching it, reading it, and pairing its sequences with its videos."""
