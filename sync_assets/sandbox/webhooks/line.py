"""The way out: one POST over a kept-alive connection, and whatever comes back.

The non-obvious decision: no client library, because ten thousand letters in a row must cost the receiver's time and
not the sandbox's; the parser is the one that the server uses anyway.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

import httptools

from sync_assets.sandbox.webhooks.vendor import Letter, Reply

MOST_ANSWER = 65_536

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Incoming:
    def __init__(self) -> None:
        self.body, self.complete = b"", False

    def on_body(self, part: bytes) -> None:
        self.body += part
        if len(self.body) > MOST_ANSWER:
            raise OSError("the answer is too long")

    def on_message_complete(self) -> None:
        self.complete = True


class Lines:
    """Open connections by origin; used in one event loop."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str], list[Connection]] = {}

    async def post(self, letter: Letter, timeout: float) -> Reply:
        try:
            async with asyncio.timeout(timeout):
                return await self._post(letter)
        except TimeoutError:
            return Reply(reason=f"no answer within {timeout:g} s")
        except (OSError, httptools.HttpParserError) as error:
            return Reply(reason=f"{type(error).__name__}: {error}")

    async def _post(self, letter: Letter) -> Reply:
        parts = urlsplit(letter.url)
        origin = (parts.scheme, parts.netloc)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields = {"Host": parts.netloc, **letter.headers, "Content-Length": str(len(letter.body))}
        head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        message = head.encode("latin-1") + b"\r\n" + letter.body
        while (idle := self._idle.get(origin)) and (used := idle.pop()):
            if used[1].is_closing() or used[0].at_eof():
                used[1].close()
                continue
            try:
                return await self._exchange(origin, used, message)
            except (OSError, httptools.HttpParserError):
                # It was closed while it lay idle; a new one says whether anybody is there.
                break
        secure = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if secure else 80)
        fresh = await asyncio.open_connection(parts.hostname, port, ssl=secure)
        return await self._exchange(origin, fresh, message)

    async def _exchange(self, origin: tuple[str, str], connection: Connection, message: bytes) -> Reply:
        reader, writer = connection
        incoming = _Incoming()
        parser = httptools.HttpResponseParser(incoming)
        kept = False
        try:
            writer.write(message)
            await writer.drain()
            while not incoming.complete:
                part = await reader.read(MOST_ANSWER)
                if not part:
                    raise ConnectionResetError("closed before it answered")
                parser.feed_data(part)
            kept = parser.should_keep_alive()
            return Reply(parser.get_status_code(), incoming.body)
        finally:
            if kept:
                self._idle.setdefault(origin, []).append(connection)
            else:
                writer.close()

    def close(self) -> None:
        for connections in self._idle.values():
            for _, writer in connections:
                writer.close()
        self._idle.clear()
