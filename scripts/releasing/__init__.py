"""Releases of the packages: what `scripts/release` and `scripts/licenses` are made of."""
