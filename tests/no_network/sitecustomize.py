"""Refuses connections to anything but loopback, in every Python that finds this folder on its path.

Python imports ``sitecustomize`` when it starts.  A name is not looked up either: without a network that fails too.
Nothing is imported before it is needed, since tests look at what a command imports.
"""

from __future__ import annotations

import sys


def is_loopback(host: object) -> bool:
    """Whether a host is this machine, without asking a name server."""
    import ipaddress

    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "localhost")
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        import socket

        return name in ("localhost", socket.gethostname())


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: raises what a machine without a network does."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and not is_loopback(address[0]):
            raise ConnectionRefusedError(f"connections go to loopback only, not to {address[0]}:{address[1]}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not is_loopback(arguments[0]):
        import socket

        raise socket.gaierror(socket.EAI_AGAIN, f"names of loopback only are looked up, not {arguments[0]}")


sys.addaudithook(refuse)
