"""Placeholder until the command group lands."""

from __future__ import annotations

import argparse


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add nothing yet."""
    del subparsers
