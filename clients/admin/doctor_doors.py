"""The doors of a server as ``campuscard doctor`` finds them: free, or answered as they should be.

**Source:** RFC 9113, 3.4 (the first that each side says).
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.admin.console import tr
from clients.admin.findings import Finding, Health, is_held

if TYPE_CHECKING:
    from clients.admin.findings import Place

ANSWER_S: Final = 5.0
RENEW_DAYS: Final = 30
_GREETING: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_HEAD_BYTES: Final = 9
_SETTINGS: Final = 4


def check_port(place: Place) -> Finding:
    """The gRPC port: free, or answered by a server of ours."""
    return _look(place, "port", place.address, secure=False)


def check_terminals_port(place: Place) -> Finding:
    """The terminals' port: free, or answered by a server of ours, in TLS where that is configured."""
    return _look(place, "terminals", place.front_address, secure=place.certificate is not None)


def check_certificate(place: Place) -> Finding:
    """The certificate of the terminals' port: its key fits, and it is not about to end."""
    name = "certificate"
    if place.certificate is None or place.key is None:
        found = tr("未设置: 不加密", "not set: no TLS")
        return Finding(name=name, health=Health.OK, found=found)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(place.certificate, place.key)
        ends = x509.load_pem_x509_certificate(place.certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        step = tr(
            "核对 front.certificate 与 front.key。", "Look at front.certificate and front.key."
        )
        found = f"{place.certificate}: {error}"
        return Finding(name=name, health=Health.FAILED, found=found, step=step)
    left = ends - dt.datetime.now(dt.UTC)
    found = f"{place.certificate} " + tr(f"{ends:%Y-%m-%d} 到期", f"until {ends:%Y-%m-%d}")
    if left > dt.timedelta(days=RENEW_DAYS):
        return Finding(name=name, health=Health.OK, found=found)
    step = tr("换发后: kill -HUP 服务进程", "Renew it, then: kill -HUP the server")
    health = Health.WARNING if left > dt.timedelta() else Health.FAILED
    return Finding(name=name, health=health, found=found, step=step)


def _look(place: Place, name: str, address: str, *, secure: bool) -> Finding:
    host, _, port = address.rpartition(":")
    if not port or int(port) == 0:
        found = tr("启动时自选", "chosen at the start") if port else tr("不设", "none")
        return Finding(name=name, health=Health.OK, found=found)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER_S) as connection:
            return _listened(place, name, address, connection, secure=secure)
    except ConnectionRefusedError:
        found = f"{address} " + tr("空闲", "free")
        return Finding(name=name, health=Health.OK, found=found)
    except OSError as error:
        step = tr("核对地址与防火墙。", "Look at the address and the firewall.")
        found = f"{address} {error.strerror or error}"
        return Finding(name=name, health=Health.WARNING, found=found, step=step)


def _listened(
    place: Place, name: str, address: str, connection: socket.socket, *, secure: bool
) -> Finding:
    """Say of something that listens whether it is ours and answers."""
    found = f"{address} " + tr("有程序在听", "something listens")
    if not (place.data.is_dir() and is_held(place.data)):
        option = "--address" if name == "port" else "--front"
        step = tr(f"被占用: serve {option}", f"Taken: serve {option}") + " 127.0.0.1:PORT"
        return Finding(name=name, health=Health.WARNING, found=found, step=step)
    fault, step = _tls_fault(place, connection) if secure else _greeting_fault(connection)
    if fault:
        return Finding(name=name, health=Health.FAILED, found=f"{address} {fault}", step=step)
    return Finding(name=name, health=Health.OK, found=found + (" (TLS)" if secure else ""))


def _greeting_fault(connection: socket.socket) -> tuple[str, str]:
    """Return what is wrong with how a door greets, and what to do; empty: nothing."""
    head = b""
    try:
        connection.sendall(_GREETING)
        while len(head) < _HEAD_BYTES and (more := connection.recv(_HEAD_BYTES - len(head))):
            head += more
    except OSError:
        head = b""
    if len(head) == _HEAD_BYTES and head[3] == _SETTINGS:
        return "", ""
    return (
        tr("不答 HTTP/2", "does not answer HTTP/2"),
        tr(
            "别的程序占了它, 或服务器已停滞: 看日志。",
            "Another program has it, or the server stands still: see its log.",
        ),
    )


def _tls_fault(place: Place, connection: socket.socket) -> tuple[str, str]:
    """Return what is wrong with a door's TLS, and what to do; empty: nothing.

    Whom its CA vouches for is the terminals' to check: here it must be the file's certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(connection) as secured:
            shown, protocol = (
                secured.getpeercert(binary_form=True),
                secured.selected_alpn_protocol(),
            )
    except OSError as error:
        return (
            tr(f"TLS 握手失败: {error}", f"TLS fails: {error}"),
            tr("重启服务器, 看日志。", "Start the server again and see its log."),
        )
    if protocol != "h2":
        return tr("不答 HTTP/2", "does not answer HTTP/2"), tr("看日志。", "See its log.")
    if place.certificate is None:
        return "", ""
    ours = x509.load_pem_x509_certificate(place.certificate.read_bytes())
    if shown != ours.public_bytes(Encoding.DER):
        return (
            tr("出示的不是文件中的证书", "shows another certificate than the file's"),
            "kill -HUP",
        )
    return "", ""
