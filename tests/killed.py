"""Die at a call by which something is kept, renamed or removed on the disk, in a child process."""

import os
import signal


def die_at(moment):
    """From now on this process kills itself (SIGKILL) before the call of this number."""
    left = moment

    def watched(call):
        def watch(*args, **options):
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **options)

        return watch

    for name in ("fsync", "rename", "replace", "unlink", "rmdir"):
        setattr(os, name, watched(getattr(os, name)))
