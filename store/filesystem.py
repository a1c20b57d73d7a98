"""Where a SQLite file may lie: not on a file system of another machine, whose locks and flushes can't be relied on."""

from __future__ import annotations

import re
from pathlib import Path

#: Types of /proc/mounts that reach over a network; "fuse.sshfs" is found by its part after the dot.
_NETWORK = frozenset({
    "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "nfs", "nfs3", "nfs4", "ocfs2", "s3fs",
    "smb3", "smbfs", "sshfs",
})  # fmt: skip


def network_file_system(path: Path, mounts: str) -> str | None:
    """The type of the network file system that ``path`` is on, by the text of /proc/mounts; None for a local one.

    >>> network_file_system(Path("/srv/triaged.db"), "fs:/data /srv nfs4 rw 0 0")
    'nfs4'
    """
    deepest, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) > 2:  # noqa: PLR2004 - device, place, type
            place = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1]))
            depth = len(place.parts)
            if depth >= deepest and path.is_relative_to(place):
                deepest, kind = depth, fields[2]
    return kind if kind.rpartition(".")[2] in _NETWORK else None
