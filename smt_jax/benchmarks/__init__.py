"""Timing functions behind launch.benchmark."""
