"""Tells systemd how we are, by the protocol of sd_notify(3): datagrams of NAME=value lines."""

import os
import socket

from appliance.text import readable


def notify(*fields: str) -> bool:
    """Send fields like "READY=1" or "STATUS=alone"; tell whether somebody listens.

    Without NOTIFY_SOCKET, or when nobody reads it any more, nothing happens: the portrait does not
    depend on who started it.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # the abstract namespace
    message = "\n".join(map(readable, fields))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)  # a systemd that does not read must not stop the picture
        try:
            sender.sendto(message.encode("utf-8", "replace"), address)
        except OSError:
            return False
    return True
