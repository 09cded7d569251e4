"""What the operating system allows this process."""

from __future__ import annotations

import resource

__all__ = ["raise_limits"]

_FILES_MAX = 65_536
_FILES_RESERVED = 256
_CONNECTIONS_MAX = 16_384
_CONNECTIONS_MIN = 64


def raise_limits() -> int:
    """Allow as many open files as we may have, and say how many connections that is good for.

    The usual soft limit of 1,024 is for programs that use `select`. A connection needs one
    descriptor, a transfer another one. Connections beyond the number wait in the kernel's queue.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, _FILES_MAX)
    if soft == resource.RLIM_INFINITY:
        wanted = _FILES_MAX
    elif soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    else:
        wanted = soft
    return max(_CONNECTIONS_MIN, min(_CONNECTIONS_MAX, (wanted - _FILES_RESERVED) // 2))
