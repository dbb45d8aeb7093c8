"""Words that name a behaviour, which no caption of the stand-in may hold."""

import re

# Stems of every class of CalMS21 and of what people call them.
FORBIDDEN = re.compile(
    r"attack|investigat|mount|sniff|groom|approach|disengag|intromi|\brear|whiterear|fight|bit(e|ing)|chas(e|ing)|"
    r"follow|explor|court|mat(e|ing)|sex|copulat|aggress|social|interact|hump|lick|clean|play",
    re.IGNORECASE,
)
