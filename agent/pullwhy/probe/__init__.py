"""The probes of a walk: they observe one stage each and judge nothing."""
