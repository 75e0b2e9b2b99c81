"""Requests of holders, gates, tills and staff: see ``tests.every_act``."""

from campuscard.v1 import access_service_pb2 as access_pb
from campuscard.v1 import holder_service_pb2 as holder_pb
from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import parameter_service_pb2 as parameters_pb
from campuscard.v1 import staff_service_pb2 as staff_pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from tests.access import FACE, carrier
from tests.every_act import INITIAL, PIN, QUERY, builds, count
from tests.staff import PASSWORD, grants_of, secret_of

# ---- self-service ----


@builds("HolderService.SignIn", by="nobody")
def _(world):
    return holder_pb.HolderServiceSignInRequest(
        account_no=world.holder().account_no, query_password=INITIAL
    )


@builds("HolderService.SignOut")
def _(world):
    return world.phone(), holder_pb.HolderServiceSignOutRequest()


@builds("HolderService.ReportLoss", by="nobody")
def _(world):
    return holder_pb.HolderServiceReportLossRequest(
        account_no=world.holder().account_no, query_password=INITIAL
    )


@builds("HolderService.Unloss")
def _(world):
    return world.phone(), holder_pb.HolderServiceUnlossRequest()


@builds("HolderService.ChangeQueryPassword")
def _(world):
    new = "tower-99"
    return world.phone(), holder_pb.ChangeQueryPasswordRequest(
        old_password=QUERY, new_password=new, confirm_password=new
    )


@builds("HolderService.ChangeTransactionPassword")
def _(world):
    return world.phone(), holder_pb.ChangeTransactionPasswordRequest(
        old_password=INITIAL, new_password=PIN, confirm_password=PIN
    )


@builds("HolderService.SetMyLimits")
def _(world):
    return world.phone(), holder_pb.SetMyLimitsRequest(day_limit_fen=5_000)


@builds("TerminalService.ChangePin", by="nobody")
def _(world):
    pos = world.campus.terminal(f"PIN-{next(count)}")
    return terminal_pb.ChangePinRequest(
        terminal_id=pos.terminal_id,
        medium=world.holder().medium,
        old_pin=INITIAL,
        new_pin=PIN,
        confirm_pin=PIN,
    )


# ---- gates ----


@builds("AccessService.CheckAccess", by="nobody")
def _(world):
    gate = f"G-{next(count)}"
    world.gates.zone(f"Z-{gate}", gate)
    return world.gates.request(gate, world.holder().medium)


@builds("AccessService.PresentCarrier", by="nobody")
def _(world):
    pos, holder = world.campus.terminal(f"QR-{next(count)}"), world.holder()
    phone, _ = world.gates.phone(holder)
    return access_pb.PresentCarrierRequest(
        terminal_id=pos.terminal_id, carrier=carrier(world.gates.code(holder, phone))
    )


@builds("AccessService.SetZone")
def _(world):
    zone = access_pb.Zone(
        zone_id=f"Z-{next(count)}",
        name="门",
        kind="DORMITORY",
        passback=access_pb.PASSBACK_MODE_OFF,
    )
    return access_pb.SetZoneRequest(zone=zone)


@builds("AccessService.SetEmergency")
def _(world):
    name = f"Z-{next(count)}"
    world.gates.zone(name)
    return access_pb.SetEmergencyRequest(zone_id=name, mode=access_pb.EMERGENCY_MODE_OPEN)


@builds("AccessService.SetGroup")
def _(world):
    return access_pb.SetGroupRequest(
        group=access_pb.AccessGroup(
            group_id=f"P-{next(count)}",
            name="组",
            windows=[access_pb.WeeklyWindow(weekday=1, start_minute=0, end_minute=60)],
        )
    )


@builds("AccessService.PutMember")
def _(world):
    name = f"P-{next(count)}"
    world.gates.group(name)
    return access_pb.PutMemberRequest(group_id=name, account_nos=[world.holder().account_no])


@builds("AccessService.RemoveMember")
def _(world):
    name, account_no = f"P-{next(count)}", world.holder().account_no
    world.gates.group(name)
    world.gates("PutMember", group_id=name, account_nos=[account_no])
    return access_pb.RemoveMemberRequest(group_id=name, account_nos=[account_no])


@builds("AccessService.EnrolFace")
def _(world):
    consent = access_pb.FaceConsent(given_time_us=world.campus.now_us(), text_version="2025-06")
    return access_pb.EnrolFaceRequest(
        account_no=world.holder().account_no,
        face_token=FACE + bytes([next(count) % 256]),
        consent=consent,
        birth_date="2000-01-31",
    )


@builds("AccessService.WithdrawFace")
def _(world):
    holder = world.holder()
    world.gates.enrol(holder, token=FACE + bytes([next(count) % 256]))
    return access_pb.WithdrawFaceRequest(account_no=holder.account_no)


# ---- merchants ----


@builds("MerchantService.CreateMerchant")
def _(world):
    return merchants_pb.CreateMerchantRequest(
        merchant_id=f"M-{next(count)}", name="店", category=merchants_pb.MERCHANT_CATEGORY_SHOP
    )


@builds("MerchantService.UpdateMerchant")
def _(world):
    return merchants_pb.UpdateMerchantRequest(
        merchant_id=world.campus.merchant(f"M-{next(count)}"), name="新店"
    )


@builds("MerchantService.CreateTerminal")
def _(world):
    return merchants_pb.CreateTerminalRequest(
        terminal_id=f"T-{next(count)}", merchant_id=world.campus.merchant(f"M-{next(count)}")
    )


@builds("MerchantService.UpdateTerminal")
def _(world):
    pos = world.campus.terminal(f"T-{next(count)}", sign_in=False)
    return merchants_pb.UpdateTerminalRequest(terminal_id=pos.terminal_id, place="二楼")


# ---- parameters ----


@builds("ParameterService.ProposeChange")
def _(world):
    return parameters_pb.ProposeChangeRequest(key="qr_seconds", value="40")


@builds("ParameterService.ProposeMeals")
def _(world):
    meal = merchants_pb.MealPeriod(name="全天", start_minute=0, end_minute=1_439)
    return parameters_pb.ProposeMealsRequest(periods=[meal])


@builds("ParameterService.ProposeCategory")
def _(world):
    category = parameters_pb.Category(
        number=7, code="GYM", name_zh="健身", name_en="Gym", purchases=True
    )
    return parameters_pb.ProposeCategoryRequest(category=category)


@builds("ParameterService.ProposeCalendarDay")
def _(world):
    return parameters_pb.ProposeCalendarDayRequest(date="2024-05-01", hours="CLOSED")


@builds("ParameterService.ProposeCancellation")
def _(world):
    waits = world.campus.change_parameter("card_fee_fen", 3_100 + next(count), "2024-06-01")
    return parameters_pb.ProposeCancellationRequest(change=waits.change)


@builds("ParameterService.ApproveChange")
def _(world):
    return world.campus.checker, parameters_pb.ApproveChangeRequest(proposal=world.proposal())


@builds("ParameterService.RejectChange")
def _(world):
    return world.campus.checker, parameters_pb.RejectChangeRequest(proposal=world.proposal())


@builds("ParameterService.WithdrawChange")
def _(world):
    return parameters_pb.WithdrawChangeRequest(proposal=world.proposal())


# ---- staff ----


@builds("StaffService.SignIn", by="nobody")
def _(world):
    return world.member("AUDITOR").request()


@builds("StaffService.SignOut")
def _(world):
    return world.member("AUDITOR"), staff_pb.SignOutRequest()


@builds("StaffService.ChangePassword")
def _(world):
    return world.member("AUDITOR"), staff_pb.ChangePasswordRequest(
        old_password=PASSWORD, new_password="another horse battery"
    )


@builds("StaffService.EnrolTotp")
def _(world):
    return world.member("AUDITOR"), staff_pb.EnrolTotpRequest(password="wrong")


@builds("StaffService.ConfirmTotp")
def _(world):
    member = world.member("AUDITOR")
    offered = member.stub("StaffService").EnrolTotp(staff_pb.EnrolTotpRequest(password=PASSWORD))
    member.secret = secret_of(offered.otpauth_uri)
    return member, staff_pb.ConfirmTotpRequest(code=member.code())


@builds("StaffService.CreateStaff", by="admin")
def _(world):
    return staff_pb.CreateStaffRequest(name=f"m{next(count)}", grants=grants_of(["AUDITOR"]))


@builds("StaffService.GrantRole", by="admin")
def _(world):
    (grant,) = grants_of(["OPS"])
    return staff_pb.GrantRoleRequest(name=world.member("AUDITOR").name, grant=grant)


@builds("StaffService.RevokeRole", by="admin")
def _(world):
    (grant,) = grants_of(["AUDITOR"])
    return staff_pb.RevokeRoleRequest(name=world.member("AUDITOR").name, grant=grant)


@builds("StaffService.DisableStaff", by="admin")
def _(world):
    return staff_pb.DisableStaffRequest(name=world.member("AUDITOR").name)


@builds("StaffService.EnableStaff", by="admin")
def _(world):
    name = world.member("AUDITOR").name
    disable = staff_pb.DisableStaffRequest(
        request_id=world.campus.request_id(), name=name, reason="away"
    )
    world.campus.admin.stub("StaffService").DisableStaff(disable)
    return staff_pb.EnableStaffRequest(name=name)


@builds("StaffService.ResetStaff", by="admin")
def _(world):
    return staff_pb.ResetStaffRequest(name=world.member("AUDITOR").name)


@builds("StaffService.RevokeSessions", by="admin")
def _(world):
    return staff_pb.RevokeSessionsRequest(name=world.member("AUDITOR").name)
