"""Let the C library reuse the memory of one layer, or one batch, for the next."""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>


def reuse_freed_memory() -> None:
    """Let the process keep freed memory instead of returning it to the system; has no effect without the GNU C library.

    Blocks above 32 MiB, such as the activations of a batch, are otherwise mapped anew for every layer, and on a CPU
    clearing their pages takes as long as the network. With this setting, the process keeps the most memory that it has
    ever used. It is meant for programs that own their process, such as the command line and the studio's server, not
    for libraries.
    """
    with suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
