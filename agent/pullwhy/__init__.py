"""Why can't this node pull this image? pullwhy answers, with proof, from the node itself."""

__version__ = "0.1.0"
