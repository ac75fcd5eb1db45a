"""The HTTP/JSON API: what fails and why for people and programs, health for Kubernetes, metrics for Prometheus."""

from __future__ import annotations

from pullwhy.collector.api.application import API

__all__ = ["API"]
