"""Keeping the memory of one layer, or one batch, for the next."""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>


def reuse_freed_memory() -> None:
    """Let the whole process keep what it frees instead of giving it back; does nothing without the GNU C library.

    The activations of a batch exceed 32 MiB, which the library otherwise maps anew for every layer: on a CPU, clearing
    those pages takes as long as the network. The process then holds on to the most memory it ever used. For programs
    that own their process, such as the command line and the studio's server; a library must not decide this.
    """
    with suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
