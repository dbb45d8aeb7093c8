"""The stages in the order they run; protocols holds their settings, pipeline joins them."""

VERSION = 2  # raise it when proposals, heads or labelled frames come out otherwise: every notebook runs again
