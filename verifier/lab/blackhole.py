"""Ports where connecting is neither granted nor refused, without a packet filter: their queue is always full."""

import errno
import socket

_FILLERS = 3
_IN_PROGRESS = {0, errno.EINPROGRESS}


def dig(address: str, port: int) -> list[socket.socket]:
    """Return the sockets that make the hole, to be closed when it is not wanted any more. Raises OSError.

    Nobody accepts what is queued, and a listener whose queue is full drops every further SYN (listen(2) and
    tcp(7) on Linux): a client waits as it would for a host behind a filter.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sockets = [listener]
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(_FILLERS):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sockets.append(filler)
            filler.settimeout(0.0)
            code = filler.connect_ex((address, port))
            if code not in _IN_PROGRESS:
                raise OSError(code, f"the queue of {address} port {port} cannot be filled")
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets
