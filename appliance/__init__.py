"""The framed screen: a portrait whose eyes follow the visitor."""

import os

__version__ = "0.1.0"

# Both are read once, when the libraries load. BLAS threads cost more than they give at our sizes,
# and would spin against the camera and the display.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
