"""A TCP proxy with weather: it delays, swallows, tears and refuses, by a seeded forecast."""

import asyncio
import contextlib
import random

CALM, DELAY, LOSE_ANSWERS, LOSE_REQUESTS, TEAR, REFUSE = range(6)


class Weather:
    """Passes bytes between terminals and a server as the present weather lets it."""

    def __init__(self, address, *, seed):
        host, _, port = address.rpartition(":")
        self._server = (host, int(port))
        self._rng = random.Random(seed)
        self._writers = set()
        self._listener = None
        self.state = CALM
        self.address = ""
        self.seen = set()

    async def __aenter__(self):
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._listener.close()
        self._tear()
        await self._listener.wait_closed()

    async def change(self, *, until_s, outage_s):
        """Let the weather change until a time of the loop's clock, then be calm.

        It begins calm, and then loses every answer for ``outage_s``.
        """
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.5)
        self.state = LOSE_ANSWERS
        await asyncio.sleep(outage_s)
        self._tear()
        while loop.time() < until_s:
            self.state = self._rng.choice(
                (CALM, CALM, DELAY, LOSE_ANSWERS, LOSE_REQUESTS, TEAR, REFUSE)
            )
            self.seen.add(self.state)
            if self.state in {TEAR, REFUSE}:
                self._tear()
            await asyncio.sleep(self._rng.uniform(0.1, 0.5))
            if self.state in {LOSE_ANSWERS, LOSE_REQUESTS}:
                self._tear()  # bytes are missing: the connection can never be used again
        self.state = CALM

    def clear(self, state=CALM):
        """Change the weather; connections on which bytes are missing are torn."""
        self.state = state
        self._tear()

    def _tear(self):
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader, writer):
        if self.state == REFUSE:
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._server)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, server_writer}
        await asyncio.gather(
            self._pass(reader, server_writer, lost_in=LOSE_REQUESTS),
            self._pass(server_reader, writer, lost_in=LOSE_ANSWERS),
        )
        self._writers -= {writer, server_writer}

    async def _pass(self, reader, writer, *, lost_in):
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self.state == DELAY:
                    await asyncio.sleep(self._rng.uniform(0.0, 0.3))
                if self.state != lost_in:
                    writer.write(data)
                    await writer.drain()
        writer.close()
