"""Any list is paged, or says how long it can be."""

import pytest

from server.app import proto_files

ROOT_FILES = proto_files()
LISTS = [
    (method.full_name, field)
    for file in ROOT_FILES
    for service in file.services_by_name.values()
    for method in service.methods
    for field in method.output_type.fields
    if field.is_repeated and not method.server_streaming
]
SHORT = {
    "AuthorizeBatch.results": "one per request of the batch, which is bounded",
    "GetAccount.media": "MEDIA_MAX",
    "GetMyAccount.cards": "MEDIA_MAX",
    "GetMyAccount.media": "MEDIA_MAX",
    "IssueCards.results": "one per item asked",
    "ActivateCards.results": "one per item asked",
    "ReturnCards.results": "one per item asked",
    "ReturnCards.missing": "core.clearance.MISSING_MAX",
    "GetCard.legal": "events of the table",
    "GetCase.legal": "events of the table",
    "AttachDocument.missing": "papers of a case",
    "ConfirmFee.missing": "papers of a case",
    "GetClearance.reasons": "reasons of the rule",
    "GetClearanceKey.revoked": "REVOKED_MAX",
    "GetMealPeriods.periods": "core.calendar.MEALS_MAX",
    "ListParameters.parameters": "rows of the table",
    "ListCategories.categories": "core.categories.NUMBER_MAX",
    "GetCalendar.days": "CALENDAR_DAYS_MAX",
    "WhoAmI.grants": "core.staff.GRANTS_MAX",
    "WhoAmI.permissions": "rows of the table",
    "ListSessions.sessions": "server.sessions.PER_ACTOR_MAX",
}
"""Lists without pages, and what bounds each."""


def name_of(method, field):
    return f"{method.rsplit('.', 1)[-1]}.{field.name}"


@pytest.mark.parametrize(("method", "field"), LISTS, ids=lambda v: getattr(v, "name", v))
def test_every_list_is_paged_or_bounded(method, field):
    paged = "next_page_token" in field.containing_type.fields_by_name
    assert paged is not (name_of(method, field) in SHORT)


def test_what_is_paged_is_asked_page_by_page():
    for file in ROOT_FILES:
        for service in file.services_by_name.values():
            for method in service.methods:
                if "next_page_token" in method.output_type.fields_by_name:
                    fields = method.input_type.fields_by_name
                    assert {"page_size", "page_token"} <= set(fields.keys()), method.full_name


def test_no_bound_is_claimed_for_nothing():
    assert SHORT.keys() <= {name_of(method, field) for method, field in LISTS}
