"""The documentation's page of every cause; the agent does not load it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pullwhy.diagnose import causes_pages_image, causes_pages_network, causes_pages_node
from pullwhy.diagnose.page import Page
from pullwhy.model import CauseId

PAGES: Mapping[CauseId, Page] = MappingProxyType(
    causes_pages_image.PAGES | causes_pages_network.PAGES | causes_pages_node.PAGES
)
