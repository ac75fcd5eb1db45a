"""Why can't this node pull this image? pullwhy answers, with proof, from the node itself."""

from __future__ import annotations

__version__ = "0.1.0"
