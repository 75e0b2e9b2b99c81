"""A proxy that can stop letting answers through: the server commits, the terminal never hears."""

import contextlib
import socket
import threading

CHUNK = 65_536


class Mute:
    """Forwards TCP to an address; `silence` drops everything that comes back from then on."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.target = (host.strip("[]"), int(port))
        self.silent = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def silence(self):
        self.silent.set()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
                self.sockets += [near, far]
                for source, sink, back in ((near, far, False), (far, near, True)):
                    threading.Thread(
                        target=self.pump, args=(source, sink, back), daemon=True
                    ).start()

    def pump(self, source, sink, back):
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if not (back and self.silent.is_set()):
                    sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.close()
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.close()
