"""The stages in the order they run; protocols holds their settings, pipeline joins them."""
