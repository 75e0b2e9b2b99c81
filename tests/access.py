"""Gates of a test campus: zones, groups, passages, phones.

gates = Gates(campus)
gates.zone("D1", "GATE-1", passback="ENFORCE", passback_minutes=10)
gates.group("all", "D1", kinds=["STUDENT"])
gates.check("GATE-1", holder.medium).reason
"""

import os

from campuscard.v1 import access_service_pb2 as pb
from campuscard.v1 import access_service_pb2_grpc as pb_grpc
from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from core import qr
from server.keys import Keyring
from tests.campus import CALL_S

ALWAYS = tuple((day, 0, 1_440) for day in range(1, 8))
"""Windows that are open at any time: weekday from 1, start and end minute."""
FACE = b"face-token-of-the-device"


class Gates:
    """Calls AccessService: gates as a terminal without token, the rest as the default member."""

    def __init__(self, campus):
        self.campus = campus

    def staff(self, member=None):
        return pb_grpc.AccessServiceStub((member or self.campus.staff).channel)

    def terminal(self):
        return pb_grpc.AccessServiceStub(self.campus.raw_channel)

    def __call__(self, method, member=None, /, **values):
        """Call a method of staff under a new request_id."""
        request = getattr(pb, f"{method}Request")(**values)
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            request.request_id = self.campus.request_id()
        return getattr(self.staff(member), method)(request, timeout=CALL_S)

    def zone(self, zone_id, *gates, kind="DORMITORY", passback="OFF", **values):
        """Make a zone with these gates, which are made where they are not there."""
        for gate in gates:
            self.gate(gate)
        zone = pb.Zone(
            zone_id=zone_id,
            name=zone_id,
            kind=kind,
            terminal_ids=gates,
            passback=pb.PassbackMode.Value(f"PASSBACK_MODE_{passback}"),
            **values,
        )
        return self("SetZone", zone=zone)

    def gate(self, terminal_id):
        known = self.campus.merchants.ListTerminals(
            merchants_pb.ListTerminalsRequest(page_size=1_000), timeout=CALL_S
        ).terminals
        if terminal_id not in {terminal.terminal_id for terminal in known}:
            self.campus.terminal(terminal_id, merchant="GATES", category="ACCESS", sign_in=False)

    def group(self, group_id, *zone_ids, windows=ALWAYS, kinds=(), days=(), **values):
        """Make a group; days are pairs of a day since 1970 and its windows."""
        group = pb.AccessGroup(
            group_id=group_id,
            name=group_id,
            zone_ids=zone_ids,
            kinds=[accounts_pb.HolderKind.Value(f"HOLDER_KIND_{kind}") for kind in kinds],
            windows=[
                pb.WeeklyWindow(weekday=day, start_minute=start, end_minute=end)
                for day, start, end in windows
            ],
            exception_days=[
                pb.ExceptionDay(
                    day=day,
                    windows=[pb.DayWindow(start_minute=s, end_minute=e) for s, e in some],
                )
                for day, some in days
            ],
            **values,
        )
        return self("SetGroup", group=group)

    def request(self, gate, shown, direction="IN"):
        """Build a request of CheckAccess; shown is a Medium, a code as text or a face as bytes."""
        return pb.CheckAccessRequest(
            request_id=self.campus.request_id(),
            terminal_id=gate,
            carrier=carrier(shown),
            direction=pb.PassDirection.Value(f"PASS_DIRECTION_{direction}"),
        )

    def send(self, request):
        return self.terminal().CheckAccess(request, timeout=CALL_S)

    def check(self, gate, shown, direction="IN"):
        return self.send(self.request(gate, shown, direction))

    def present(self, terminal_id, shown, request_id=None):
        """Turn a code or a face into a medium to pay with."""
        request = pb.PresentCarrierRequest(
            request_id=request_id or self.campus.request_id(),
            terminal_id=terminal_id,
            carrier=carrier(shown),
        )
        return self.terminal().PresentCarrier(request, timeout=CALL_S)

    def passes(self, **values):
        return self("ListPasses", **values).passes

    # ---- phones and faces ----

    def phone(self, holder):
        """Bind a phone; returns its medium with number."""
        medium = terminal_pb.Medium(type=terminal_pb.MEDIUM_TYPE_MOBILE_QR, token=os.urandom(16))
        request = accounts_pb.BindMediumRequest(
            request_id=self.campus.request_id(), account_no=holder.account_no, medium=medium
        )
        bound = self.campus.accounts.BindMedium(request, timeout=CALL_S)
        return bound.medium_number, medium

    def code_key(self):
        """Return the key this server signs its codes with."""
        return Keyring(self.campus.data / "keys").derive("dynamic-qr")

    def code(self, holder, phone, **changes):
        """Write a code as the server would."""
        values = {
            "account": holder.number,
            "medium": phone,
            "issued_s": self.campus.now_us() // 1_000_000,
            "life_s": 60,
            "nonce": os.urandom(8),
        }
        return qr.write(qr.Code(**(values | changes)), self.code_key())

    def enrol(self, holder, token=FACE, *, born="2000-01-31", member=None, **consent):
        given = {"given_time_us": self.campus.now_us(), "text_version": "2025-06"} | consent
        return self(
            "EnrolFace",
            member,
            account_no=holder.account_no,
            face_token=token,
            consent=pb.FaceConsent(**given),
            birth_date=born,
            reason="test",
        )


def carrier(shown):
    if isinstance(shown, str):
        return pb.Carrier(qr=shown)
    return pb.Carrier(face_token=shown) if isinstance(shown, bytes) else pb.Carrier(medium=shown)
