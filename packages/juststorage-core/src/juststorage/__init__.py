"""JustStorage: content-addressable object storage as a pluggable framework.

The public modules for plugin authors are `juststorage.domain`, `juststorage.ports`,
`juststorage.plugins`, `juststorage.errors` and `juststorage.testing`; for applications and tests
also `juststorage.runtime` and `juststorage.config`. Importing this package alone is free of cost.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
