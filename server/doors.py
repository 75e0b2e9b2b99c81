"""The services of papers, put into a gRPC server with the parts they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campuscard.v1 import (
    access_service_pb2_grpc,
    account_service_pb2_grpc,
    card_office_service_pb2_grpc,
    holder_service_pb2_grpc,
    merchant_service_pb2_grpc,
    parameter_service_pb2_grpc,
    staff_service_pb2_grpc,
)
from server.argon import Argon
from server.certificates import CertificateSigner
from server.holder_passwords import HolderPasswords
from server.services.access import AccessService
from server.services.account import AccountService
from server.services.card_office import CardOfficeService
from server.services.holder import HolderService
from server.services.holder_sign_in import HolderDoor
from server.services.merchant import MerchantService
from server.services.parameters import ParameterService
from server.services.password_acts import PasswordActs
from server.services.sign_in import StaffDoor
from server.services.staff import StaffService
from server.services.terminal_pin import TerminalPins
from server.services.what_if import WhatIf
from server.staff_secrets import StaffSecrets
from server.workers import Workers

if TYPE_CHECKING:
    import contextlib

    import grpc.aio

    from server.config import Settings
    from server.keys import Keyring
    from server.services.office import Office
    from server.sessions import Sessions


def add_papers(
    grpc_server: grpc.aio.Server,
    office: Office,
    *,
    keys: Keyring,
    sessions: Sessions,
    settings: Settings,
    stack: contextlib.AsyncExitStack,
) -> None:
    """Add the services of papers.

    Args:
        grpc_server: not started.
        office: what they work with.
        keys: of the data directory.
        sessions: of everybody who is signed in.
        settings: of the server.
        stack: ends what is started here.
    """
    argon = Argon(memory_kib=settings.staff.argon2_memory_kib, passes=settings.staff.argon2_passes)
    stack.callback(argon.close)
    passwords = HolderPasswords(keys, argon)
    password_acts = PasswordActs(office, passwords, sessions)
    access_service_pb2_grpc.add_AccessServiceServicer_to_server(AccessService(office), grpc_server)
    account_service_pb2_grpc.add_AccountServiceServicer_to_server(
        AccountService(office, password_acts), grpc_server
    )
    grpc_server.add_generic_rpc_handlers((TerminalPins(office, password_acts).handler(),))
    holder_door = HolderDoor(office, passwords, sessions, refusal_ms=settings.staff.refusal_ms)
    holder_service_pb2_grpc.add_HolderServiceServicer_to_server(
        HolderService(office, holder_door, password_acts, sessions), grpc_server
    )
    workers = Workers(settings.office.workers)
    stack.callback(workers.close)
    card_office_service_pb2_grpc.add_CardOfficeServiceServicer_to_server(
        CardOfficeService(office, signer=CertificateSigner(keys), workers=workers), grpc_server
    )
    merchant_service_pb2_grpc.add_MerchantServiceServicer_to_server(
        MerchantService(office), grpc_server
    )
    parameter_service_pb2_grpc.add_ParameterServiceServicer_to_server(
        ParameterService(office, WhatIf(office)), grpc_server
    )
    door = StaffDoor(
        office=office,
        sessions=sessions,
        argon=argon,
        secrets=StaffSecrets(keys),
        settings=settings.staff,
    )
    staff_service_pb2_grpc.add_StaffServiceServicer_to_server(StaffService(door), grpc_server)
