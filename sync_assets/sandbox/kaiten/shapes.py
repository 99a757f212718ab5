"""The full field set of each Kaiten object, with the value a fresh one has.

The non-obvious decision: shapes are data. A record is its shape, overlaid; a field nobody set still
appears, with the right type, as it does live. `None` marks what only the record itself can say.
"""

from datetime import datetime

from sync_assets.sandbox.dialect import Record

COMPANY_ID = 398_610
GLOBAL_CARD_TYPE = 1

_WARNINGS = {f"last_moved_warning_after_{unit}": 0 for unit in ("days", "hours", "minutes")}

# fmt: off
SHAPES: dict[str, Record] = {
    "spaces": {
        "archived": False, "access": "by_invite",
        "for_everyone_access_role_id": "00000000-0000-4000-8000-000000000000", "entity_type": "space",
        "path": str(COMPANY_ID), "sort_order": 1.0, "parent_entity_uid": None, "company_id": COMPANY_ID,
        "allowed_card_type_ids": None, "external_id": None, "settings": {"timeline": {"columns": []}},
        "user_id": 0, "access_mod": "by_invite",
    },
    "users": {
        "full_name": "", "username": "", "email": "", "activated": True,
        "avatar_initials_url": "https://files.example.test/initials.png", "avatar_uploaded_url": None,
        "initials": "", "avatar_type": 1, "lng": "ru", "timezone": "Europe/Moscow", "theme": "auto",
        "ui_version": 2, "virtual": False, "email_blocked": None, "email_blocked_reason": None,
        "delete_requested_at": None, "role": 2, "company_id": COMPANY_ID, "user_id": 0, "external": False,
        "last_request_date": None,
    },
    "card_types": {
        "name": "", "color": 1, "letter": "C", "description_template": None, "company_id": COMPANY_ID,
        "properties": None, "archived": False, "suggest_fields": True, "card_properties": [],
        "locked": None, "author_uid": None,
    },
    "tags": {
        "name": "", "company_id": COMPANY_ID, "color": 1, "archived": False, "locked": None,
        "fts_version": "829174686",
    },
    "property_definitions": {
        "name": "", "type": "string", "show_on_facade": False, "multiline": False, "fields_settings": None,
        "author_id": 0, "company_id": COMPANY_ID, "condition": "active", "colorful": False,
        "multi_select": False, "values_creatable_by_users": True, "data": None, "values_type": None,
        "vote_variant": None, "protected": False, "color": None, "external_id": None, "import_uid": None,
        "is_used_as_progress": False, "calculation_method": None,
    },
    "property_values": {
        "custom_property_id": 0, "value": "", "color": 1, "deleted": False, "condition": "active",
        "sort_order": 1.0, "external_id": None, "author_id": 0, "company_id": COMPANY_ID,
    },
    "catalog_values": {
        "custom_property_id": 0, "value": {}, "name": "", "author_id": 0, "updater_id": None,
        "condition": "active", "deleted": False, "fts_version": "829174686",
    },
    "boards": {
        "title": "", "cell_wip_limits": None, "external_id": None, "default_card_type_id": GLOBAL_CARD_TYPE,
        "description": "", "email_key": "", "move_parents_to_done": True, "default_tags": None,
        "first_image_is_cover": False, "reset_lane_spent_time": False, "backward_moves_enabled": True,
        "hide_done_policies": False, "hide_done_policies_in_done_column": False, "automove_cards": False,
        "auto_assign_enabled": False, "card_properties": None, "space_id": 0, "top": 0, "left": 0,
        "sort_order": 1.0, "type": 1,
    },
    "columns": {
        "title": "", "sort_order": 1.0, "col_count": 1, "wip_limit": None, "type": 1, "rules": 0,
        "board_id": 0, "column_id": None, "archive_after_days": 0, "wip_limit_type": 1, "external_id": None,
        "default_tags": None, **_WARNINGS, "months_to_hide_cards": None, "card_hide_after_days": None,
        "pause_sla": False, "locked": None,
    },
    "lanes": {
        "title": "", "sort_order": 1.0, "row_count": 1, "wip_limit": None, "board_id": 0,
        "default_card_type_id": None, "wip_limit_type": 1, "external_id": None, "default_tags": None,
        **_WARNINGS, "condition": 1, "locked": None,
    },
}
# fmt: on

_NULL = (
    "due_date lane_id size size_unit size_text completed_on_time completed_at milestone_id sprint_id tag_ids "
    "last_moved_at external_id lane_changed_at column_changed_at first_moved_to_in_progress_at service_id "
    "last_moved_to_done_at properties planned_start planned_end share_id share_settings sd_external_recipients "
    "external_user_emails parent_checklist_ids parent_link_ids fifo_order comment_last_added_at "
    "children_ids parents_ids calculated_planned_start calculated_planned_end import_id locked key "
    "children_number_properties_sum"
)
_ZERO = (
    "estimate_workload parents_count children_count children_done goals_total goals_done comments_total "
    "time_spent_sum time_blocked_sum"
)
_FALSE = (
    "archived asap due_date_time_present expires_later blocked blocking_card public has_blocked_children "
    "sd_new_comment description_filled"
)

# A card's own flat fields as a list read has them; the nested objects are joined on when it is served.
CARD: Record = {
    **dict.fromkeys(_NULL.split()),
    **dict.fromkeys(_ZERO.split(), 0),
    **dict.fromkeys(_FALSE.split(), False),
    "title": "",
    "state": 1,
    "condition": 1,
    "board_id": 0,
    "column_id": 0,
    "sort_order": 1.0,
    "owner_id": 0,
    "updater_id": 0,
    "type_id": GLOBAL_CARD_TYPE,
    "version": 1,
    "fts_version": "829174643",
    "source": "app",
}

# What only GET /cards/{id} has; `blockers` and `iteration` are absent until there is one.
_SINGLE = "checklists files external_links slas blocked_by_card_ids blocks_card_ids relates_card_ids"
SINGLE_CARD: Record = {name: [] for name in _SINGLE.split()}
ONLY_SINGLE = {*SINGLE_CARD, "description", "blockers", "iteration", "parents", "children"}
ONLY_SINGLE |= {"card_permissions", "email"}

_USER = "id uid full_name email username activated initials avatar_type role virtual"
_CARD = "id uid title state condition archived board_id column_id lane_id version parents_count children_count"
USER_STUB, CARD_STUB = tuple(_USER.split()), tuple(_CARD.split())
COLUMN_STUB = ("id", "uid", "title", "sort_order", "col_count", "type", "board_id", "column_id")
LANE_STUB = ("id", "uid", "title", "sort_order", "board_id", "condition")
TYPE_STUB = ("id", "uid", "name", "color", "letter", "archived", "suggest_fields")


def stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def only(record: Record, names: tuple[str, ...]) -> Record:
    return {name: record[name] for name in names if name in record}
