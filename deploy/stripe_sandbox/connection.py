"""Connections that can be broken on purpose."""

import asyncio
import socket
import struct

from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT = "stripe_sandbox.transport"
LINGER_FOR_NOTHING = struct.pack("ii", 1, 0)
"""With this a closed socket sends a reset and not a goodbye."""


class BreakableConnection(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection, which tells each request what it is carried by."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope.setdefault("extensions", {})[TRANSPORT] = {"transport": self.transport}


async def hang_up(request: Request) -> Response:
    """Reset the connection; nobody is left to read the response that this gives."""
    transport: asyncio.Transport = request.scope["extensions"][TRANSPORT]["transport"]
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():  # the caller may have gone already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_FOR_NOTHING)
    transport.abort()
    await asyncio.sleep(0)  # the loop tells uvicorn that the connection is gone
    return Response()
