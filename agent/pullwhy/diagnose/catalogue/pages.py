"""The documentation's page of every cause; the agent does not load it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pullwhy.diagnose.catalogue import pages_image, pages_network, pages_node
from pullwhy.diagnose.catalogue.page import Page
from pullwhy.model import CauseId

PAGES: Mapping[CauseId, Page] = MappingProxyType(pages_image.PAGES | pages_network.PAGES | pages_node.PAGES)
